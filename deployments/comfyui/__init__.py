"""Nodes for masks and long videos. Links between them carry all objects without loss, their names and the frame rate.

- *Masks to MASK* and *MASK to Masks* convert to and from the type of other nodes.
- The model has a type of its own, because ComfyUI's samplers would misread it as a MODEL.
- The sampler takes masks of any size, rate and length, like `mvideo generate`. With `seconds` 0, the video is as long
  as its masks. Each request has its own folder below ComfyUI's output folder. A stopped request resumes with its first
  missing clip.
- *Extract Masks* takes images or a video file, and works with every detector, segmenter and weights of the pipeline.
- Paths to read can be relative to ComfyUI's input folder. Nodes write only below its output folder and number their
  files.
"""

# ComfyUI loads this folder as it is, in an environment in which mvideo is installed. A node only converts.

from mvideo.deployments.comfyui.mask_nodes import MASK_NODES
from mvideo.deployments.comfyui.video_nodes import VIDEO_NODES

NODE_CLASS_MAPPINGS = {node.__name__: node for node in (*MASK_NODES, *VIDEO_NODES)}
NODE_DISPLAY_NAME_MAPPINGS = {name: node.TITLE for name, node in NODE_CLASS_MAPPINGS.items()}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
