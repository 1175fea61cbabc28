"""Tables of pages of docs/reference, for things whose facts are in several fields."""

from tests.reference import cell, table


def world_classes() -> str:
    """Classes of the mini world and their actions."""
    from mvideo_core.miniworld.world import kinds

    rows = [
        (name, ", ".join(action.name for action in one.actions), "yes" if one.unseen else "")
        for name, one in kinds().items()
    ]
    return table(("Class", "Actions", "Unseen"), rows)


def comfyui_nodes() -> str:
    """Nodes of ComfyUI with their inputs and outputs."""
    from mvideo.deployments.comfyui import NODE_CLASS_MAPPINGS

    rows = []
    for node in NODE_CLASS_MAPPINGS.values():
        given = node.INPUT_TYPES()
        inputs = [f"`{name}`" for name in given["required"]] + [f"(`{name}`)" for name in given.get("optional", {})]
        outputs = ", ".join(f"`{name}`" for name in node.RETURN_NAMES)
        rows.append((f"**{node.TITLE}**", cell(node.DESCRIPTION), ", ".join(inputs), outputs))
    return table(("Node", "Does", "Inputs (optional ones in brackets)", "Outputs"), rows)
