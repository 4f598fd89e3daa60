"""The folders of runs."""

import json

import pytest

import foveate

numpy = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def folder(command, demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data = folder / "questions.csv"
    data.write_text(
        "image,question,answer,choices\n"
        '0001.png,What color is the star?,red,"[""red"", ""blue""]"\n'
        "none.png,What color is the star?,,\n"
        "0000.png,How many objects are there?,,\n"
    )
    options = ["--mask-size=8", "--iterations=1", "--steps=2", "--device=cpu", "--threads=2"]
    options += ["--data", data, "--images", demo / "scenes", "--out", folder / "out", "--quiet"]
    done = command("run", *options)
    assert done.returncode == 3, done.stderr
    return folder / "out"


def test_records_and_manifest(folder):
    run = foveate.read_run(folder)
    lines = (folder / "records.jsonl").read_text().splitlines()
    assert run.records() == [json.loads(line) for line in lines]
    assert run.manifest["settings"]["mask_size"] == 8
    assert str(folder) in repr(run)


def test_dicts_have_values_and_masks(folder, model, scene, quick):
    rows = foveate.read_run(folder).samples("dicts")
    assert [row["index"] for row in rows] == [0, 1, 2]
    assert rows[0]["choices"] == ["red", "blue"] and rows[2]["choices"] is None
    assert rows[1]["error_cause"] == "picture" and rows[1]["mask"] is None
    e = model.explain(scene, rows[0]["question"], seed=rows[0]["seed"], **quick)
    assert rows[0]["mask"].dtype == numpy.float32 and (rows[0]["mask"] == e.mask).all()
    tokens = foveate.read_run(folder).tokens("dicts")
    own = [row for row in tokens if row["index"] == 0]
    assert [row["text"] for row in own] == [token.text for token in e.tokens]
    assert [row["key"] for row in own] == [token.key for token in e.tokens]


def test_pandas(folder):
    pandas = pytest.importorskip("pandas")
    samples = foveate.read_run(folder).samples()
    assert isinstance(samples, pandas.DataFrame) and len(samples) == 3
    assert samples["tokens"].dtype == "Int64" and pandas.isna(samples["tokens"][1])
    assert samples["seed"].dtype == "UInt64" and samples["image_dependent"].dtype == "boolean"
    assert samples["mask"][0].shape == (8, 8)
    tokens = foveate.read_run(folder).tokens("pandas")
    assert tokens.groupby("index")["key"].sum()[0] == samples["key_tokens"][0]


def test_polars(folder):
    polars = pytest.importorskip("polars")
    samples = foveate.read_run(folder).samples("polars")
    assert isinstance(samples, polars.DataFrame) and samples.height == 3
    assert samples["mask"].dtype == polars.List(polars.Float32)
    assert samples["mask"].list.len().to_list() == [64, None, samples["mask"].list.len()[2]]
    assert foveate.read_run(folder).tokens("polars")["llr"].dtype == polars.Float64


def test_what_is_no_run(folder, tmp_path):
    with pytest.raises(foveate.RunError):
        foveate.read_run(tmp_path)
    with pytest.raises(foveate.SettingError, match="pandas or polars or dicts"):
        foveate.read_run(folder).samples("arrow")


def test_a_mask_that_was_changed_is_an_error(folder, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    masks = copy / "masks-00000.f32"
    masks.write_bytes(b"\0" + masks.read_bytes()[1:-1] + b"\1")
    with pytest.raises(foveate.RunError, match="CRC-32"):
        foveate.read_run(copy).samples("dicts")
