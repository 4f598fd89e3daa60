"""Questions about several pictures."""

import json
import os

import pytest

import foveate

numpy = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def scenes(demo):
    return [demo / "scenes" / "0001.png", demo / "scenes" / "0003.png"]


@pytest.fixture(scope="module")
def settings(quick):
    return {**quick, "threshold": -1000.0, "each": "token"}


@pytest.fixture(scope="module")
def both(model, scenes, question, settings):
    return model.explain(scenes, question, **settings)


def test_each_picture_has_a_map(both, settings):
    size = settings["mask_size"]
    assert both.explained_images == [1, 2] and both.mask.shape == (2, size, size)
    assert len(both.pictures) == 2 and (both.picture == both.pictures[0]).all()
    for number, picture in enumerate(both.pictures, start=1):
        saliency = both.saliency(number)
        assert saliency.shape == picture.shape[:2]
        assert abs(saliency[0, 0] - (1 - both.mask[number - 1, 0, 0])) < 1e-6
        assert len(both.overlay(number).getbands()) == 3
    assert (both.saliency() == both.saliency(1)).all()
    with pytest.raises(IndexError, match=r"expected one of \[1, 2\], found 3"):
        both.saliency(3)
    unit = both.each[0]
    assert unit.mask.shape == (2, size, size)
    assert unit.saliency(2).shape == both.pictures[1].shape[:2]
    assert both._repr_html_().count("<img") == 4


def test_it_is_what_the_command_explains(both, command, scenes, question, settings, tmp_path):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    images = [part for scene in scenes for part in ("--image", scene)]
    options += ["--device=cpu", "--threads=2", "--out", tmp_path / "command"]
    done = command("explain", *images, "--question", question, *options)
    assert done.returncode == 0, done.stderr
    both.save(tmp_path / "python")
    names = sorted(os.listdir(tmp_path / "command"))
    assert sorted(os.listdir(tmp_path / "python")) == names and "overlay-2.png" in names
    for name in names:
        one, other = ((tmp_path / of / name).read_bytes() for of in ("command", "python"))
        if name == "explanation.json":
            one, other = json.loads(one), json.loads(other)
            # Times and memory differ from one run to the next.
            del one["cost"], other["cost"]
        assert one == other, name


def test_one_of_them_is_explained(model, scenes, question, settings):
    second = model.explain(tuple(scenes), question, explain_image=2, **settings)
    assert second.explained_images == [2] and second.mask.shape[0] == 1
    assert second.saliency().shape == second.pictures[1].shape[:2]
    with pytest.raises(IndexError, match=r"expected one of \[2\], found 1"):
        second.overlay(1)
    (many,) = model.explain_many([(scenes, question)], explain_image=2, **settings)
    assert (many.mask == second.mask).all()


def test_pictures_are_drawn(both):
    pytest.importorskip("matplotlib")
    # Two pictures, two maps with their bars, the curves.
    assert len(both.plot().axes) == 7


def test_what_does_not_fit_is_refused(model, scenes, question, settings):
    with pytest.raises(foveate.PictureError, match="at least 3, for explain-image, found 2"):
        model.explain(scenes, question, explain_image=3, **settings)
    with pytest.raises(foveate.PictureError, match="expected 1 to 64, found 0"):
        model.explain([], question, **settings)


def test_the_table_of_a_run_has_the_masks_of_all(command, scenes, question, tmp_path):
    rows = [[scene.name for scene in scenes], scenes[0].name]
    lines = [json.dumps({"image": image, "question": question}) for image in rows]
    (tmp_path / "data.jsonl").write_text("\n".join(lines))
    options = ["--data", tmp_path / "data.jsonl", "--images", scenes[0].parent]
    options += ["--out", tmp_path / "out", "--device=cpu", "--threads=2", "--mask-size=8"]
    done = command("run", *options, "--steps=2", "--no-curves", "--threshold=-1000")
    assert done.returncode == 0, done.stderr
    both, one = foveate.read_run(tmp_path / "out").samples("dicts")
    assert both["mask"].shape == (2, 8, 8) and one["mask"].shape == (8, 8)
    assert list(both["explained_images"]) == [1, 2] and one["explained_images"] is None
