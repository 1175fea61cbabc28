import logging
import tracemalloc

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.editing import MaskClip, apply_edits, parse_edits
from mvideo_core.editing.edits import read_edits
from mvideo_core.editing.operations import OPERATIONS
from mvideo_core.masks import MaskWriter, encode
from mvideo_core.masks.measure import areas, iou
from tests.mvideo_core.editing.drawn import FPS, HEIGHT, WIDTH, block, boxes, noise, square_path


def edited(clip: MaskClip, *ops) -> MaskClip:
    return apply_edits(clip, parse_edits(ops))


def test_zoom_doubles_the_box_about_the_middle():
    # Square [16, 26) x [10, 20) in 60 x 40: x -> 2x - 30, y -> 2y - 20.
    clip = block((16, 10, 26, 20))
    assert boxes(edited(clip, "zoom: {start: 2, to: 2}")) == [[2, 0, 22, 20]]
    assert boxes(edited(clip, "zoom: {start: 2, to: 2, center: [0, 0]}")) == [[32, 20, 52, 40]]


def test_zoom_goes_from_start_to_end():
    clip = block((28, 18, 32, 22), n_frames=3)
    zoomed = edited(clip, "zoom: {to: 3, ease: linear}")  # factors 1, 2, 3 about (30, 20): half side 2, 4, 6
    assert boxes(zoomed) == [[28, 18, 32, 22], [26, 16, 34, 24], [24, 14, 36, 26]]
    # At 3 the corners round off: a corner pixel's center lies 1/6 px inside both ways, bilinear (2/3)^2 = 0.44 < 0.5.
    assert areas(zoomed.sequence)[:, 0].tolist() == [16, 64, 144 - 4]


def test_zoom_keys_hold_outside_their_times():
    clip = block((28, 18, 32, 22), n_frames=9)  # one second
    zoomed = edited(clip, "zoom: {keys: [[0.25, 1], [0.5, 2]], ease: linear}")
    # Frames 0-2 at factor 1, frame 3 half way (1.5: half side 3), frame 4 on at 2.
    assert [box[2] - box[0] for box in boxes(zoomed)] == [4, 4, 4, 6, 8, 8, 8, 8, 8]


def test_zoom_out_and_in_again_gives_the_clip_back():
    clip = square_path()
    assert edited(clip, "zoom: {start: 0.5, to: 0.5}", "zoom: {start: 2, to: 2}").sequence == clip.sequence
    away = edited(clip, "translate: {x_frac: 0.9}", "translate: {x_frac: -0.9}")  # out of the frame between
    assert away.sequence == clip.sequence


def test_zoom_to_half_and_to_double_are_ramps_from_one():
    """docs/reference/masks.md: `to` alone is where a zoom that begins at 1 ends, so the two do not undo each other."""
    clip = square_path()
    assert edited(clip, "zoom: {to: 0.5}", "zoom: {to: 2}").sequence != clip.sequence
    still = block((28, 18, 32, 22), n_frames=3)
    assert boxes(edited(still, "zoom: {to: 0.5}"))[0] == boxes(still)[0]


def test_objects_that_leave_the_picture_are_said(caplog):
    caplog.set_level(logging.INFO)
    clip = MaskClip(encode(np.concatenate([square_path(step=0).sequence.pixels()] * 2, axis=1)), FPS, ("dog", ""))
    edited(clip, "translate: {x_frac: 5, objects: [0]}")
    assert caplog.record_tuples[-1][1:] == (logging.WARNING, "object 0 (dog) is in 0 of 5 frames after the edits")
    edited(clip, "translate: {x_frac: [[0, 0], [0.5, 1.2]], objects: [1]}")  # 8 + 18 k of 60 px: gone in frame 3
    assert caplog.record_tuples[-1][1:] == (
        logging.INFO, "object 1 is in 3 of 5 frames after the edits (before: 5)"
    )  # fmt: skip
    caplog.clear()
    edited(clip, "translate: {x_frac: 0.1}", "trim: {start: '50%'}")
    assert not caplog.text


def test_zoom_out_covers_a_quarter():
    half = edited(square_path(), "zoom: {start: 0.5, to: 0.5}")
    assert areas(half.sequence)[:, 0].tolist() == [25] * 5
    assert boxes(half)[0] == [19, 15, 24, 20]  # [8, 18) -> [19, 24), [10, 20) -> [15, 20)


def test_mirror_twice_and_reverse_twice_are_the_identity():
    clip = noise()
    assert edited(clip, "mirror", "mirror").sequence == clip.sequence
    assert edited(clip, "reverse", "reverse").sequence == clip.sequence
    assert edited(clip, "mirror").sequence == encode(clip.sequence.pixels()[..., ::-1])
    assert edited(clip, "mirror: {sides: top-bottom}").sequence == encode(clip.sequence.pixels()[:, :, ::-1])
    assert edited(clip, "reverse").sequence == encode(clip.sequence.pixels()[::-1])


def test_half_turn_about_the_frame_is_exact():
    clip = noise()
    turned = edited(clip, "rotate: {angle_deg: 180, anchor: frame}")
    np.testing.assert_array_equal(turned.sequence.pixels(), clip.sequence.pixels()[..., ::-1, ::-1])


def test_rotation_is_counter_clockwise_about_the_objects_center():
    clip = block((20, 18, 40, 22))  # 20 x 4, center (30, 20): upright after a quarter turn
    assert boxes(edited(clip, "rotate: {angle_deg: 90}")) == [[28, 10, 32, 30]]
    arrow = block((30, 18, 50, 22))
    assert boxes(edited(arrow, "rotate: {angle_deg: 90, anchor: frame}")) == [[28, 0, 32, 20]]  # right goes up


def test_translate_follows_keys_and_cuts_at_the_border():
    # 0.2 widths = 12 px over 4 steps; 0.5 heights = 20 px up: the square [10, 20) ends at the border.
    with pytest.raises(ConfigError, match=r"object 0 \(square\): in 0 of 5 frames after the edits"):
        edited(square_path(step=0), "translate: {x_frac: [['0%', 0], ['100%', 0.2]], y_frac: -0.5}")
    moved = edited(square_path(step=0), "translate: {x_frac: [['0%', 0], ['100%', 0.2]], y_frac: -0.375}")
    assert boxes(moved) == [[8 + 3 * k, 0, 18 + 3 * k, 5] for k in range(5)]


def test_translate_only_the_chosen_object():
    clip = noise(n_objects=2)
    moved = edited(clip, "translate: {x_frac: 0.1, objects: [1]}").sequence.pixels()
    np.testing.assert_array_equal(moved[:, 0], clip.sequence.pixels()[:, 0])
    np.testing.assert_array_equal(moved[:, 1, :, 6:], clip.sequence.pixels()[:, 1, :, :-6])
    assert not moved[:, 1, :, :6].any()


def test_scale_keeps_its_anchor():
    clip = block((20, 10, 30, 20))
    assert boxes(edited(clip, "scale: {factor: 2}")) == [[15, 5, 35, 25]]
    assert boxes(edited(clip, "scale: {factor: 2, anchor: feet}")) == [[15, 0, 35, 20]]
    # [22.5, 27.5): the pixels at both ends are half covered, which counts.
    assert boxes(edited(clip, "scale: {factor: 0.5, anchor: feet}")) == [[22, 15, 28, 20]]
    by_name = [boxes(edited(clip, f"scale: {{factor: 0.5, anchor: {name}}}")) for name in ("center", "centre")]
    assert by_name == [boxes(edited(clip, "scale: {factor: 0.5}"))] * 2  # "centre" in older recipes


def test_pan_moves_objects_against_the_camera():
    panned = edited(square_path(step=0), "pan: {path: [[0, 0, 0], [0.5, 0.1, 0.25]], ease: linear}")
    # The camera goes 6 px right and 10 px down in 4 frames: 1.5 and 2.5 px a frame.
    assert boxes(panned)[0] == [8, 10, 18, 20]
    assert boxes(panned)[2] == [5, 5, 15, 15]
    assert boxes(panned)[4] == [2, 0, 12, 10]


def test_uphill_rises_by_the_tangent_of_the_travel():
    # 45 degrees: 4 px up for 4 px to the right; the level is at the start of the travel.
    clip = square_path(n_frames=3)
    up = edited(clip, "slope: {angle_deg: 45, tilt: false, level_at: start}")
    assert boxes(up) == [[8, 10, 18, 20], [12, 6, 22, 16], [16, 2, 26, 12]]
    down = edited(clip, "slope: {direction: downhill, angle_deg: 45, tilt: false, level_at: start}")
    assert boxes(down) == [[8, 10, 18, 20], [12, 14, 22, 24], [16, 18, 26, 28]]
    middle = edited(clip, "slope: {angle_deg: 45, tilt: false}")
    assert [box[1] for box in boxes(middle)] == [14, 10, 6]


def test_uphill_is_the_way_the_object_goes():
    leftwards = edited(square_path(n_frames=3), "reverse", "slope: {angle_deg: 45, tilt: false, level_at: start}")
    assert boxes(leftwards) == [[16, 10, 26, 20], [12, 6, 22, 16], [8, 2, 18, 12]]
    mirrored = edited(square_path(n_frames=3), "mirror", "slope: {angle_deg: 45, tilt: false, level_at: start}")
    assert [box[1] for box in boxes(mirrored)] == [10, 6, 2]


def test_slope_of_an_object_that_the_camera_follows():
    still = square_path(step=0, n_frames=3)
    with pytest.raises(ConfigError, match="hidden_speed_frac_per_s"):
        edited(still, "slope")
    # 4 px a frame = 32 px a second = 32 / 60 widths a second.
    hidden = {"slope": {"angle_deg": 45, "tilt": False, "level_at": "start", "hidden_speed_frac_per_s": 32 / 60}}
    assert [box[1] for box in boxes(edited(still, hidden))] == [10, 6, 2]


def test_slope_tilts_a_body_along_the_ground():
    masks = np.zeros((3, 1, HEIGHT, WIDTH), bool)
    for frame in range(3):
        masks[frame, 0, 18:22, 10 + 4 * frame : 30 + 4 * frame] = True
    clip = MaskClip(encode(masks), FPS, ("body",))
    tilted = edited(clip, "slope: {angle_deg: 30, level_at: middle}").sequence.mask(1, 0)
    left, right = np.flatnonzero(tilted.any(axis=0))[[0, -1]]
    # Uphill to the right: the front end stands higher (smaller y) by about 20 * sin 30 = 10 px.
    front, back = np.flatnonzero(tilted[:, right]).mean(), np.flatnonzero(tilted[:, left]).mean()
    assert back - front == pytest.approx(10, abs=2)


@pytest.mark.parametrize(
    ("op", "frames"),
    [
        ("stretch: {speed: 2}", [0, 2, 4]),
        ("stretch: {speed: 0.5}", [0, 1, 1, 2, 2, 3, 3, 4, 4]),
        ("stretch: {to_s: 0.375}", [0, 2, 4]),
        ("loop: {times: 2}", [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]),
        ("loop: {times: 2, mode: bounce}", [0, 1, 2, 3, 4, 3, 2, 1, 0]),
        ("loop: {to_s: 1, mode: bounce}", [0, 1, 2, 3, 4, 3, 2, 1]),
        ("trim: {start: 0.125, end: 0.5}", [1, 2, 3]),
        ("trim: {start: '50%'}", [2, 3, 4]),
        ("reverse", [4, 3, 2, 1, 0]),
    ],
)
def test_timing_shows_these_frames(op, frames):
    clip = square_path()
    assert [box[0] for box in boxes(edited(clip, op))] == [8 + 4 * frame for frame in frames]


def test_time_then_space_equals_one_after_the_other():
    clip = square_path()
    together = edited(clip, "reverse", "zoom: {to: 2}", "stretch: {speed: 0.5}", "mirror")
    stepwise = clip
    for op in ("reverse", "zoom: {to: 2}", "stretch: {speed: 0.5}", "mirror"):
        stepwise = edited(stepwise, op)
    for frame in range(together.sequence.n_frames):
        assert iou(together.sequence.mask_edges(frame, 0), stepwise.sequence.mask_edges(frame, 0)) > 0.9


def test_keep_by_name_and_number():
    clip = noise(n_objects=3)
    kept = edited(clip, "keep: {objects: [2, 0]}")
    assert kept.labels == ("noise 2", "noise 0")
    assert kept.sequence == clip.sequence.select([2, 0])
    assert edited(clip, "keep: {labels: [noise 1]}").sequence == clip.sequence.select([1])


def two_blocks() -> MaskClip:
    """Object 0: a 10 x 10 square that moves right by 1 px a frame; object 1: a 6 x 4 one that stays at the right."""
    masks = np.zeros((3, 2, HEIGHT, WIDTH), bool)
    for t in range(3):
        masks[t, 0, 10:20, 4 + t : 14 + t] = True
    masks[:, 1, 28:32, 40:46] = True
    return MaskClip(encode(masks), FPS, ("dog", "cat"))


def test_hidden_objects_keep_the_numbers_of_the_others():
    clip = two_blocks()
    hidden = edited(clip, "hide: {objects: [0]}")
    assert (hidden.labels, areas(hidden.sequence).tolist()) == (("dog", "cat"), [[0, 24]] * 3)
    with pytest.raises(ConfigError, match="objects 0 to 1"):
        edited(clip, "hide: {objects: [2]}")


def test_swapped_objects_keep_their_outline_and_take_the_others_path():
    # Centers (9 + t, 15) and (43, 30): object 0 goes to (43, 30), a 10 x 10 square from (38, 25);
    # object 1 to (9 + t, 15), 6 x 4 from (6 + t, 13).
    swapped = edited(two_blocks(), "swap: {objects: [0, 1]}")
    for t in range(3):
        rows, columns = np.nonzero(swapped.sequence.mask(t, 0))
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (25, 34, 38, 47)
        rows, columns = np.nonzero(swapped.sequence.mask(t, 1))
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 16, 6 + t, 11 + t)
    assert edited(two_blocks(), "swap", "swap").sequence == two_blocks().sequence
    with pytest.raises(ConfigError, match="object 1 given twice"):
        edited(two_blocks(), "swap: {objects: [1, 1]}")


def test_a_cut_brought_inside_is_told(caplog):
    caplog.set_level(logging.WARNING)
    edited(block((0, 10, 10, 20)), "zoom: {start: 0.5, to: 0.5}")
    assert "in 1 of 1 frames" in caplog.text
    caplog.clear()
    edited(block((0, 10, 10, 20)), "mirror")
    edited(block((5, 10, 15, 20)), "zoom: {start: 0.5, to: 0.5}")
    assert not caplog.text


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("zom", "known: delay, fill_holes, freeze, grow, hide, invert, keep, largest_part, loop, mirror"),
        ("zoom: {too: 3}", "allowed keys: center, ease, keys, start, to"),
        ("zoom: 3", "in braces"),
        ("zoom: {to: 0}", "greater than 0"),
        ("zoom: [", "not valid YAML"),
        ("scale: {factor: [[0, 1], [0.5, -1]]}", "above 0"),
        ("zoom: {keys: [[1, 2], [0.5, 3]]}", "times must increase"),
        ("translate: {x_frac: [[later, 1]]}", "a percentage such as"),
        ("trim: {start: 9}", "has no frame"),
        ("keep: {objects: [4]}", "objects 0 to 0"),
        ("keep: {labels: [horse]}", "no object called horse; the names are: square"),
        ("keep: {objects: []}", "an empty list keeps nothing; give the objects to keep: numbers 0 to 0"),
        ("keep: {labels: []}", "an empty list keeps nothing"),
        ("translate: {objects: [3]}", "objects 0 to 0"),
        ("stretch", "give either"),
        ("loop: {times: 20000}", "10000"),
        ({"zoom": {}, "pan": {}}, "'name' or"),
    ],
)
def test_edits_that_cannot_be_are_refused(op, message):
    with pytest.raises(ConfigError, match=message):
        edited(square_path(), op)


def test_too_long_a_loop_is_refused_before_any_work():
    with pytest.raises(ConfigError, match="500000000 frames"):
        edited(square_path(), "loop: {times: 10000}", "loop: {times: 10000}")
    with pytest.raises(ConfigError, match="at most"):
        edited(square_path(), "stretch: {to_s: 1.0e+9}")


def test_edits_from_a_file(tmp_path):
    file = tmp_path / "edits.yaml"
    file.write_text("edits:\n  - mirror\n  - zoom: {to: 2}\n")
    assert [one.plain() for one in read_edits(file)] == [{"mirror": {}}, {"zoom": {"to": 2.0}}]
    file.write_text("- mirror\n")
    with pytest.raises(ConfigError, match="mapping"):
        read_edits(file)


@pytest.mark.parametrize("name", OPERATIONS.names())
def test_every_operation_says_what_it_does(name):
    operation = OPERATIONS.get(name)
    assert len(operation.about) > 10
    assert all(field.description for field in operation.options.model_fields.values())


def test_memory_stays_flat_over_a_long_clip():
    height, width, n_frames = 240, 320, 200
    writer = MaskWriter(1, height, width)
    frame = np.zeros((1, height, width), bool)
    for number in range(n_frames):
        frame[:] = False
        frame[0, 60:160, number % 200 : number % 200 + 80] = True
        writer.append(frame)
    clip = MaskClip(writer.finish(), FPS, ("box",))
    edits = parse_edits(["zoom: {to: 1.3}", "reverse", "pan"])
    tracemalloc.start()
    result = apply_edits(clip, edits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Pixels of the clip would be 15 MB, of one frame 0.08 MB; the runs of source and result are 0.2 MB each.
    assert result.sequence.n_frames == n_frames
    assert peak < 4e6
