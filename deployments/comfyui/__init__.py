"""Nodes for ComfyUI, which loads this folder as it is: link it into `ComfyUI/custom_nodes` (docs/comfyui.md).

All work is in the packages below; a node only converts. ComfyUI runs in an environment in which mvideo is installed.
"""

from mvideo.deployments.comfyui.mask_nodes import MASK_NODES
from mvideo.deployments.comfyui.video_nodes import VIDEO_NODES

NODE_CLASS_MAPPINGS = {node.__name__: node for node in (*MASK_NODES, *VIDEO_NODES)}
NODE_DISPLAY_NAME_MAPPINGS = {name: node.TITLE for name, node in NODE_CLASS_MAPPINGS.items()}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
