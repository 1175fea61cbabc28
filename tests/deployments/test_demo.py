from mvideo.deployments.demo import score_lines


def row(system: str, end: str, mean: float | None) -> dict[str, object]:
    return {"test_set": "t", "system": system, "metric": f"mini_mask_miou{end}", "mean": mean, "n": 3}


def test_the_last_lines_have_the_score_and_its_controls() -> None:
    rows = [
        row("mvideo", "", 35.84),
        row("base", "", 8.29),
        row("mvideo", "_shuffled", 3.34),
        row("base", "_shuffled", 9.1),
    ]
    line = "mask mIoU (3 videos): 35.8 with masks, 8.3 without, 3.3 with shuffled masks; upper bound "
    assert list(score_lines([*rows, row("mvideo", "_source", 70.37)])) == [f"{line}70.4"]
    assert list(score_lines(rows)) == [f"{line}not measured"]
