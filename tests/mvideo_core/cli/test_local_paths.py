"""Every option that names a local file or folder refuses a URL, before anything runs and without a folder "s3:"."""

import pytest
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli import main
from mvideo_core.curation.ingest.sources import SourceOptions, list_sources

URL = "s3://bucket/x"
COMMANDS = (
    "dataset extract {here} key --out URL",
    "generate --out URL --prompt dog",
    "train run URL --latents {here}",
    "train stop URL",
    "train report URL",
    "run -w {here}/ws --folder URL",
    "run -w {here}/ws --manifest URL",
    "plan -w {here}/ws --hdvila URL --hdvila-videos {here}",
    "plan -w {here}/ws --hdvila {here} --hdvila-videos URL",
    "world make URL",
    "accuracy -w {here} --world {here} --out URL",
    "masks convert {here} URL",
    "masks preview {here} URL",
    "masks recipe shift --out URL",
    "testset mask-to-video -w {here} --out URL",
    "testset complexmotion-list --folder URL --out {here}",
    "eval run {here} --suite main --out URL",
    "eval report URL",
    "reproduce --out URL",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_url_where_a_local_path_is_needed_is_one_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [word.format(here=tmp_path).replace("URL", URL) for word in command.split()]
    result = CliRunner().invoke(main.app, words)
    assert isinstance(result.exception, ConfigError), (result.output, result.exception)
    message = str(result.exception)
    assert f"{URL!r}: this must be a local path" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "path\ns3://bucket/a.mp4\n", r"a.csv:2: path 's3://bucket/a.mp4': this must be a local path"),
        ("a.csv", "uri\ns3://bucket/a.mp4\n", r"a.csv:2: 's3://bucket/a.mp4': only local files"),
        ("a.jsonl", '{"uri": "https://x/a.mp4"}\n', r"a.jsonl:1: 'https://x/a.mp4': only local files"),
    ],
)
def test_a_manifest_that_lists_urls_is_refused_with_its_line(name, content, said, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=said):
        list(list_sources(SourceOptions(manifest=str(tmp_path / name))))


def test_options_of_flows_refuse_urls_too(tmp_path):
    with pytest.raises(ConfigError, match=r"folder: .*this must be a local path, not a URL"):
        SourceOptions.parse({"folder": URL})
