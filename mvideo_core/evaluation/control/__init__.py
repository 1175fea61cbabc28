"""Interventional control: what a video does when its masks are edited, compared with what the edits request.

`edits` makes the edited masks of an item, `interventions` writes them with a manifest, `tracks` turns masks into paths,
`fit` compares requested paths with observed paths, `judges` finds the objects in generated videos, `summary` gives a
system's numbers with intervals.
"""
