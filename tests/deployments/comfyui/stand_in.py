"""A stand-in of the parts of ComfyUI that meet a custom node: it cannot be installed from a package index.

It follows `nodes.load_custom_node`, `execution.validate_inputs` and `execution.execute` of ComfyUI (October 2026) for
nodes of the first kind, and the conversion of a saved workflow into a prompt that its page does.
"""

import importlib.util
import sys
from pathlib import Path

import torch

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN")
SEEDS = ("seed", "noise_seed")
"""The page adds a second widget to these, "control_after_generate"."""


class PreviewImage:
    """ComfyUI's own node."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "image", "save_images", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}, "hidden": {"prompt": "PROMPT"}}

    def save_images(self, images, prompt=None):
        return {"ui": {"images": [tuple(images.shape)]}}


class Refused(Exception):
    """What the page shows when a prompt is not valid."""


class ComfyUI:
    """Nodes of custom_nodes/*, and their execution."""

    def __init__(self, custom_nodes: Path):
        self.nodes, self.names, self.cached = {"PreviewImage": PreviewImage}, {}, {}
        self.runs = []
        for folder in sorted(custom_nodes.iterdir()):
            self._load(str(folder))

    def _load(self, path):
        name = path.replace(".", "_x_")
        spec = importlib.util.spec_from_file_location(name, f"{path}/__init__.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        for key, node in module.NODE_CLASS_MAPPINGS.items():
            self.nodes[key] = node
            node.RELATIVE_PYTHON_MODULE = f"custom_nodes.{Path(path).name}"
        self.names.update(module.NODE_DISPLAY_NAME_MAPPINGS)

    def run(self, prompt):
        """Results by node: (outputs, what the page shows)."""
        for number, entry in prompt.items():
            if getattr(self.nodes[entry["class_type"]], "OUTPUT_NODE", False):
                self._validate(prompt, number)
        done = {}
        with torch.inference_mode():
            for number, entry in prompt.items():
                if getattr(self.nodes[entry["class_type"]], "OUTPUT_NODE", False):
                    self._execute(prompt, number, done)
        return done

    def _validate(self, prompt, number):
        entry = prompt[number]
        types = self.nodes[entry["class_type"]].INPUT_TYPES()
        for group in ("required", "optional"):
            for name, info in types.get(group, {}).items():
                kind, extra = info[0], info[1] if len(info) > 1 else {}
                if name not in entry["inputs"]:
                    if group == "required":
                        raise Refused(f"{number} {name}: Required input is missing")
                    continue
                value = entry["inputs"][name]
                if isinstance(value, list):
                    sent = self.nodes[prompt[value[0]]["class_type"]].RETURN_TYPES[value[1]]
                    if sent != kind:
                        raise Refused(f"{number} {name}, received_type({sent}) mismatch input_type({kind})")
                    self._validate(prompt, value[0])
                    continue
                entry["inputs"][name] = value = self._convert(value, kind)
                if "min" in extra and value < extra["min"]:
                    raise Refused(f"{number} {name}: Value {value} smaller than min of {extra['min']}")
                if "max" in extra and value > extra["max"]:
                    raise Refused(f"{number} {name}: Value {value} bigger than max of {extra['max']}")
                if isinstance(kind, list) and value not in kind:
                    raise Refused(f"{number} {name}: Value not in list: {value!r}")

    @staticmethod
    def _convert(value, kind):
        casts = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
        return casts[kind](value) if isinstance(kind, str) and kind in casts else value

    def _execute(self, prompt, number, done):
        if number in done:
            return
        entry = prompt[number]
        node = self.nodes[entry["class_type"]]
        inputs = {}
        for name, value in entry["inputs"].items():
            if isinstance(value, list):
                self._execute(prompt, value[0], done)
                inputs[name] = done[value[0]][0][value[1]]
            else:
                inputs[name] = value
        signature = self._signature(prompt, number)
        if signature not in self.cached:
            self.runs.append(entry["class_type"])
            found = getattr(node(), node.FUNCTION)(**inputs)
            shown = found.get("ui", {}) if isinstance(found, dict) else {}
            self.cached[signature] = (found.get("result", ()) if isinstance(found, dict) else found), shown
        done[number] = self.cached[signature]

    def _signature(self, prompt, number):
        """Equal if the node and all before it would give the same: linked inputs reach IS_CHANGED as None."""
        entry = prompt[number]
        node = self.nodes[entry["class_type"]]
        fixed = {name: None if isinstance(value, list) else value for name, value in entry["inputs"].items()}
        changed = node.IS_CHANGED(**fixed) if hasattr(node, "IS_CHANGED") else ""
        inputs = {
            name: [self._signature(prompt, value[0]), value[1]] if isinstance(value, list) else value
            for name, value in entry["inputs"].items()
        }
        return repr([entry["class_type"], sorted(inputs.items()), changed])

    def prompt_of(self, workflow):
        """The prompt of a saved workflow."""
        links = {link[0]: (str(link[1]), link[2]) for link in workflow["links"]}
        prompt = {}
        for entry in workflow["nodes"]:
            types = self.nodes[entry["type"]].INPUT_TYPES()
            values, inputs = list(entry.get("widgets_values", [])), {}
            for name, info in {**types.get("required", {}), **types.get("optional", {})}.items():
                if isinstance(info[0], list) or info[0] in WIDGETS:
                    inputs[name] = values.pop(0)
                    if name in SEEDS:
                        assert values.pop(0) in ("fixed", "increment", "decrement", "randomize")
            assert not values, f"{entry['type']}: more values than widgets: {values}"
            for slot in entry.get("inputs", []):
                if slot["link"] is not None:
                    inputs[slot["name"]] = list(links[slot["link"]])
            prompt[str(entry["id"])] = {"class_type": entry["type"], "inputs": inputs}
        return prompt
