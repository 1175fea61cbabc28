"""Accuracy of data curation against the mini world's ground truth: cuts, boxes, masks, captions, funnel.

    rows = Rows(clips, detections, masks, captions, open_masks, clip_path)   # all rows of a run, every status
    report = measure("world/truth", rows, AccuracyOptions())                 # -> AccuracyReport (frozen, JSON)
    print(as_table(report))
    write_report(report, "world/truth", rows, "accuracy/")                   # accuracy.json, index.html, worst cases

Depends on the world's truth files, masks and media only.
"""

from mvideo_core.miniworld.accuracy.evidence import Rows, by_video
from mvideo_core.miniworld.accuracy.figures import AccuracyReport
from mvideo_core.miniworld.accuracy.measure import AccuracyOptions, measure
from mvideo_core.miniworld.accuracy.page import write_report
from mvideo_core.miniworld.accuracy.table import as_table

__all__ = ["AccuracyOptions", "AccuracyReport", "Rows", "as_table", "by_video", "measure", "write_report"]
