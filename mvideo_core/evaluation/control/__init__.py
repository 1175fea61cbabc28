"""Interventional control: what a video does when its masks are edited, compared with what the edits ask for.

`edits` makes the edited masks of an item, `tracks` turns masks into paths, `fit` compares requested paths with paths
seen, `judges` finds the objects in generated videos, `summary` gives a system's numbers with intervals.
"""
