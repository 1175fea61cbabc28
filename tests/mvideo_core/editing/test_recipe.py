import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.masks import masks_app
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing import load_masks, save_masks
from mvideo_core.editing.preview import PreviewOptions, contact_sheet, overview, write_preview
from mvideo_core.editing.recipe import load_recipe, recipe_names, run_recipe
from mvideo_core.editing.resample import resample
from mvideo_core.masks.io.clip import take_frames
from mvideo_core.masks.measure import areas
from mvideo_core.media.decode import count_frames, read_clip
from mvideo_core.media.encode import write_mp4
from tests.mvideo_core.editing.drawn import FPS, HEIGHT, WIDTH, block, boxes, noise, square_path

SMALL = VideoFormat(height_px=48, width_px=64, motion_height_px=16, motion_width_px=16, clip_frames=9, fps=8)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_gives_masks_on_the_grid(name):
    recipe = load_recipe(name)
    inputs = {key: square_path(n_frames=9) for key in recipe.inputs}
    made = list(run_recipe(recipe, inputs, SMALL))
    assert [one.name for one in made] == list(recipe.variants)
    for one in made:
        n_frames, _, height, width = one.clip.sequence.shape
        assert (n_frames % 8, height, width) == (1, 48, 64)
        assert areas(one.clip.sequence).sum() > 0
        assert one.prompts


def test_the_papers_figures_are_there():
    text = " ".join(load_recipe(name).paper for name in recipe_names())
    assert all(f"figure {number}" in text for number in range(4, 10))


def test_zoom_recipe_by_hand():
    recipe = load_recipe("camera_zoom")
    clip = block((24, 14, 36, 26), n_frames=9)  # 12 px about the middle
    made = {one.name: one.clip for one in run_recipe(recipe, {"main": clip}, SMALL)}
    # 40 x 60 -> 48 x 64 cropped: scale 1.2, so 14.4 px, about (32, 24).
    assert boxes(made["zoom_in"])[0] == [25, 17, 39, 31]
    last = boxes(made["zoom_in"])[-1]
    assert last[2] - last[0] == pytest.approx(1.6 * 14.4, abs=1.5)
    assert boxes(made["zoom_out"])[-1] == [28, 20, 36, 28]  # 0.55 * 14.4 = 7.9


def test_recipes_that_do_not_fit(tmp_path):
    with pytest.raises(ConfigError, match="the recipe needs back: the animal"):
        list(run_recipe(load_recipe("combined"), {"main": square_path()}, SMALL))
    with pytest.raises(ConfigError, match="camera_zoom"):
        load_recipe("zoom_camera")
    mine = tmp_path / "mine.yaml"
    text = "title: t\ninputs: {main: m}\nvariants: {v: {layers: [{input: INPUT, edits: [EDIT]}], prompts: [p]}}\n"
    mine.write_text(text.replace("INPUT", "other").replace("EDIT", "mirror"))
    with pytest.raises(ConfigError, match=r"no input \['other'\]"):
        load_recipe(str(mine))
    mine.write_text(text.replace("INPUT", "main").replace("EDIT", "miror"))
    with pytest.raises(ConfigError, match="miror"):
        load_recipe(str(mine))


def test_preview_over_black_and_over_a_video(tmp_path):
    clip = square_path(n_frames=6)
    assert write_preview(clip, tmp_path / "black.mp4") == 6
    frames = read_clip(tmp_path / "black.mp4")
    assert frames.shape == (6, HEIGHT, WIDTH, 3)
    assert frames[0, 30:, 30:].max() < 30  # no mask, no picture
    assert frames[0, 15, 13].max() > 60
    write_mp4([np.full((HEIGHT, WIDTH, 3), 200, np.uint8)] * 4, tmp_path / "short.mp4", FPS)
    assert write_preview(clip, tmp_path / "over.mp4", tmp_path / "short.mp4") == 6  # its last frame stays
    assert read_clip(tmp_path / "over.mp4")[5, 35, 50].min() > 180
    shades = [np.full((HEIGHT, WIDTH, 3), 20 * number, np.uint8) for number in range(12)]
    write_mp4(shades, tmp_path / "film.mp4", FPS, crf=1)
    write_preview(clip, tmp_path / "later.mp4", tmp_path / "film.mp4", start_s=0.5)  # from frame 4 on
    assert abs(int(read_clip(tmp_path / "later.mp4")[1, 35, 50].mean()) - 100) < 8
    with pytest.raises(ConfigError, match="no frame"):
        write_preview(clip._replace(sequence=take_frames(clip.sequence, [])), tmp_path / "none.mp4")


def test_contact_sheet_by_hand():
    options = PreviewOptions(sheet_frames=3, sheet_columns=2, cell_px=60)
    sheet = contact_sheet(square_path(n_frames=9), None, options)
    assert sheet.shape == (2 * HEIGHT + 4, 2 * WIDTH + 4, 3)
    assert sheet[HEIGHT : HEIGHT + 4].min() == 255  # the gap
    assert sheet[HEIGHT + 4 :, WIDTH + 4 :].min() == 255  # three pictures: the fourth place is empty


def test_overview_has_a_row_per_clip():
    clips = {"a": square_path(n_frames=9), "b": resample(square_path(n_frames=9), SMALL)}
    sheet = overview(clips, PreviewOptions(sheet_columns=2, cell_px=64))
    assert sheet.shape == (20 + HEIGHT + 20 + 48, 2 * 64 + 4, 3)
    assert sheet[: 20 + HEIGHT, 2 * WIDTH + 4 :].min() == 255  # the narrower row is padded
    assert sheet[:20].min() < 128  # its name, above all pictures


def call(*words):
    result = CliRunner().invoke(masks_app, list(words))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize(
    ("prompts", "read"),
    [
        ("[A horse runs, and stops.]", None),
        ('["A horse runs, and stops.", A dog.]', None),
        ("[A horse runs.]", ["A horse runs."]),
        ('["A horse runs, and stops.", "A dog."]', ["A horse runs, and stops.", "A dog."]),
        ("\n    - A horse runs, and stops.\n    - A dog.", ["A horse runs, and stops.", "A dog."]),
    ],
)
def test_a_prompt_with_a_comma_is_read_whole_or_refused(tmp_path, prompts, read):
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"title: t\ninputs: {{main: m}}\nvariants:\n  a:\n    layers: [{{input: main}}]\n    prompts: {prompts}\n"
    )
    if read is None:
        with pytest.raises(
            ConfigError, match=r"mine\.yaml: line 6: prompts: 'A .*' in brackets ends at a comma; quote each"
        ):
            load_recipe(str(file))
    else:
        assert load_recipe(str(file)).variants["a"].prompts == read


def test_the_command_line(tmp_path):
    source, out = str(tmp_path / "a.masks"), str(tmp_path / "b.npz")
    save_masks(source, square_path(n_frames=9).sequence, 8, ("square",))
    assert (
        "9 frames of 60x40 at 8 fps, 1 objects" in call("edit", source, out, "--op", "mirror", "--op", "reverse").stdout
    )
    assert boxes(load_masks(out))[-1] == [42, 10, 52, 20]
    assert "travels -0.533" not in call("info", source).stdout
    assert "square" in call("info", source).stdout
    call("combine", str(tmp_path / "c.masks"), source, f"{out}: {{start_s: 0.25, edits: [mirror]}}")
    both = load_masks(tmp_path / "c.masks")
    assert (both.sequence.n_frames, both.labels) == (11, ("square", "square"))
    call("resample", source, str(tmp_path / "grid.masks"), "--size", "48x64", "--clip-frames", "9", "--clips", "2")
    assert load_masks(tmp_path / "grid.masks").sequence.shape == (17, 1, 48, 64)
    call("preview", source, str(tmp_path / "a.png"))
    call("preview", source, str(tmp_path / "a.mp4"))
    assert count_frames(tmp_path / "a.mp4") == 9
    call("recipe", "slope", "-i", source, "--out", str(tmp_path / "r"), "--size", "48x64", "--clip-frames", "9")
    written = json.loads((tmp_path / "r" / "recipe.json").read_text())
    assert written["variants"]["uphill"]["masks"] == "uphill.masks"
    assert len(written["inputs"]["main"]["sha256"]) == 64
    assert load_masks(tmp_path / "r" / "uphill.masks").sequence.n_frames == 9
    assert (tmp_path / "r" / "overview.png").is_file()


def test_the_command_line_teaches(tmp_path):
    assert "zoom" in call("ops").stdout
    assert "hidden_speed_frac_per_s" in call("ops", "slope").stdout
    assert "combined" in call("recipe").stdout
    assert "dancers" in call("recipe", "combined").stdout
    for command in ("extract", "edit", "combine", "resample", "preview", "recipe", "info"):
        assert call(command, "--help").exit_code == 0
    assert "edits: [mirror]" in " ".join(call("combine", "--help").stdout.split())  # not taken for markup
    source = str(tmp_path / "a.masks")
    save_masks(source, noise().sequence, 8)
    for words, message in [
        (("edit", source, str(tmp_path / "b.masks")), "no edit given"),
        (("recipe", "combined", "-i", source, "--out", str(tmp_path)), "NAME=MASKS"),
        (("recipe", "slope", "-i", source), "--out"),
        (("resample", source, str(tmp_path / "b.masks"), "--size", "480"), "HEIGHTxWIDTH"),
        (("preview", source, str(tmp_path / "b.gif")), "mp4"),
        (("combine", str(tmp_path / "b.masks"), f"{source}: {{start: 1}}"), "start_s"),
    ]:
        with pytest.raises(ConfigError, match=message):
            call(*words)
