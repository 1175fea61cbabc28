from mvideo_core.base.records import CaptionRow, ObjectPhrase
from mvideo_core.perception.captioning.review import CaptionReview


def ok(n, text, model="vlm"):
    return CaptionRow(key=f"c{n}", text=text, captioner="openai_compatible", model=model)


def refused(n, reason="caption_refused"):
    return CaptionRow.filter_row(f"c{n}", f"c{n}", reason, 0, 1)


def warnings(rows, equal_frac=0.1, refused_frac=0.05):
    review = CaptionReview(equal_frac, refused_frac)
    for row in rows:
        review.add(row)
    return review.problems()


def test_different_captions_of_one_model_are_fine():
    assert warnings([]) == []
    assert warnings(ok(n, f"Dog {n} runs.") for n in range(30)) == []


def test_one_text_on_too_many_clips():
    rows = [ok(n, "A dog  RUNS." if n < 4 else f"Dog {n} runs.") for n in range(39)]
    (said,) = warnings(rows)  # 4 of 39 are more than a tenth
    assert said.startswith("4 of 39 captions are the same text ('A dog  RUNS.'; warn_equal_frac 0.1)")
    assert warnings([*rows, ok(39, "A cat sits.")]) == []  # 4 of 40 are not
    assert warnings(ok(n, "A dog runs.") for n in range(3)) == []  # three clips may well look alike
    (said,) = warnings(ok(n, "A dog runs.") for n in range(19))
    assert said.startswith("19 of 19")


def test_too_many_clips_without_a_caption():
    rows = [ok(n, f"Dog {n} runs.") for n in range(19)]
    assert warnings([*rows, refused(19)]) == []  # 1 of 20 is not more than a twentieth
    failed = CaptionRow.failure_row("c21", "c21", "RequestFailed", "status 500", 1)
    (said,) = warnings([*rows, refused(19), refused(20, "caption_empty"), failed])
    assert said.startswith("3 of 22 clips have no caption (RequestFailed x1, caption_empty x1, caption_refused x1;")


def test_two_models_in_one_dataset():
    (said,) = warnings([ok(0, "A dog runs."), ok(1, "A cat sits."), ok(2, "A cow eats.", model="vlm-2")])
    assert said.startswith("captions of 2 models are mixed (vlm x2, vlm-2 x1)")


def test_too_many_objects_without_a_phrase():
    def row(n, reason):
        phrases = [ObjectPhrase(object_id=m, label="dog", phrase="a dog", reason="") for m in range(9)]
        return ok(n, f"Dog {n} runs.").model_copy(
            update={"phrases": [*phrases, ObjectPhrase(object_id=9, label="dog", reason=reason)]}
        )

    assert warnings([row(1, "number_missing"), row(2, "")]) == []  # 1 of 20 is not more than a twentieth
    (said,) = warnings([row(1, "number_missing"), row(2, "other_class")])
    assert said.startswith("2 of 20 objects have no phrase (number_missing x1, other_class x1; warn_refused_frac 0.05)")
