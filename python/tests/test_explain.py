"""Explanations of single pictures."""

import json
import math
import os
import re
import signal
import threading
import time

import pytest

import foveate

numpy = pytest.importorskip("numpy")


def test_an_explanation_has_what_the_record_has(explained, question, quick):
    e = explained
    assert e.question == question and e.image_dependent
    assert "".join(token.text for token in e.tokens) == e.answer
    assert e.keys and all(e.tokens[key].key for key in e.keys)
    for token in e.tokens:
        assert math.isclose(token.llr, token.logp_image - token.logp_baseline, abs_tol=1e-9)
    size = quick["mask_size"]
    assert e.mask.shape == (size, size) and e.mask.dtype == numpy.float32
    assert 0 <= e.mask.min() and e.mask.max() <= 1
    assert len(e.iterations) == quick["iterations"]
    assert len(e.curves.fraction) == len(e.curves.deletion) == len(e.curves.insertion)
    assert 0 <= e.faithfulness.region.fraction <= 1
    assert e.settings["mask_size"] == size and e.cost["evaluations"] > 0
    assert question in e.prompt and e.baseline_answer is None
    assert e.answer.strip() in repr(e)


def test_the_map_lies_on_the_picture(explained):
    height, width, channels = explained.picture.shape
    assert channels == 3 and explained.picture.dtype == numpy.uint8
    saliency = explained.saliency()
    assert saliency.shape == (height, width) and saliency.dtype == numpy.float32
    # The corner cells lie on the corner pixels.
    mask = explained.mask
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    assert all(abs(saliency[at] - (1 - mask[at])) < 1e-6 for at in corners)


def test_it_is_what_the_command_explains(explained, command, scene, question, quick, tmp_path):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in quick.items()]
    options += ["--device=cpu", "--threads=2", "--out", tmp_path / "command"]
    done = command("explain", "--image", scene, "--question", question, *options)
    assert done.returncode == 0, done.stderr
    explained.save(tmp_path / "python")
    names = sorted(os.listdir(tmp_path / "command"))
    assert sorted(os.listdir(tmp_path / "python")) == names and len(names) == 6
    for name in names:
        one, other = ((tmp_path / of / name).read_bytes() for of in ("command", "python"))
        if name == "explanation.json":
            one, other = json.loads(one), json.loads(other)
            # Times and memory differ from one run to the next.
            costs = one.pop("cost"), other.pop("cost")
            assert costs[0]["evaluations"] == costs[1]["evaluations"]
            assert costs[0]["seconds"].keys() == costs[1]["seconds"].keys()
        assert one == other, name
    assert (numpy.load(tmp_path / "python" / "mask.npy") == explained.mask).all()


def test_a_picture_is_a_path_an_image_or_an_array(model, explained, scene, question, quick):
    Image = pytest.importorskip("PIL.Image")
    with Image.open(scene) as image:
        pixels = numpy.asarray(image.convert("RGB"))
        found = [model.explain(image, question, **quick)]
    # Also when it is not contiguous.
    mirrored = numpy.ascontiguousarray(pixels[:, ::-1])[:, ::-1]
    found += [model.explain(form, question, **quick) for form in (str(scene), pixels, mirrored)]
    for e in found:
        assert (e.mask == explained.mask).all() and e.tokens == explained.tokens
    assert found[0].record["image"]["path"] == str(scene)
    assert found[2].record["image"]["path"] is None
    with pytest.raises(foveate.PictureError, match="read by PIL"):
        closed = Image.open(scene)
        closed.close()
        model.explain(closed, question)


@pytest.mark.parametrize(
    "image",
    [
        numpy.zeros((4, 4, 3)),
        numpy.zeros((4, 4), numpy.uint8),
        numpy.zeros((4, 4, 4), numpy.uint8),
        numpy.zeros((0, 4, 3), numpy.uint8),
        None,
        b"PNG",
    ],
)
def test_other_pictures_are_refused(model, question, image):
    with pytest.raises(foveate.PictureError) as caught:
        model.explain(image, question)
    assert caught.value.cause == "picture"


def test_the_answer_and_its_keys_can_be_given(model, scene, question, quick):
    e = model.explain(scene, question, answer="The star is red.", keys=[3], **quick)
    assert e.answer == "The star is red." and e.keys == [3]
    with pytest.raises(foveate.AnswerError, match="keys: expected numbers of answer tokens"):
        model.explain(scene, question, answer="The star is red.", keys=[99], **quick)


def test_no_key_tokens_is_a_result(model, scene, question, tmp_path):
    e = model.explain(scene, question, threshold=1e6)
    assert not e.image_dependent and e.keys == []
    nothing = (e.mask, e.saliency(), e.overlay(), e.curves, e.faithfulness)
    assert nothing == (None, None, None, None, None)
    assert "does not depend on the picture" in e._repr_html_()
    e.save(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["explanation.json", "tokens.png"]


def test_each_word_has_a_map_of_its_own(model, scene, question, quick, tmp_path):
    asked = {"answer": "The star is red.", "keys": [1, 3]}
    e = model.explain(scene, question, each=True, **asked, **quick)
    assert [unit.text for unit in e.each] == ["star", "red"]
    assert [unit.indices for unit in e.each] == [[1], [3]]
    size = quick["mask_size"]
    for unit in e.each:
        assert unit.mask.shape == (size, size) and unit.mask.dtype == numpy.float32
        alone = model.explain(scene, question, **{**asked, "keys": unit.indices}, **quick)
        assert (unit.mask == alone.mask).all() and unit.iterations == alone.iterations
        assert (unit.saliency() == alone.saliency()).all() and unit.evaluations > 0
        assert unit.text in repr(unit)
    whole = model.explain(scene, question, **asked, **quick)
    assert (e.mask == whole.mask).all() and whole.each == []
    e.save(tmp_path)
    assert (numpy.load(tmp_path / "each.npy") == [unit.mask for unit in e.each]).all()
    tokens = model.explain(scene, question, each="token", **asked, **quick)
    assert [unit.indices for unit in tokens.each] == [[1], [3]]
    assert model.explain(scene, question, each=False, **quick).each == []
    with pytest.raises(foveate.SettingError, match="each"):
        model.explain(scene, question, each="letter")
    # A score of one's own has no words.
    with pytest.raises(foveate.SettingError, match="each: attribute has no such setting"):
        foveate.attribute(None, None, None, each=True)


def test_a_word_is_drawn_over_the_picture(model, scene, question, quick):
    pytest.importorskip("PIL")
    e = model.explain(scene, question, answer="The star is red.", keys=[1, 3], each=True, **quick)
    one, other = (numpy.asarray(unit.overlay()) for unit in e.each)
    assert one.shape == other.shape and one.shape[2] == 3 and (one != other).any()


def test_losses_are_plotted(model, scene, question, quick):
    pytest.importorskip("matplotlib")
    many = {**quick, "iterations": 3}
    panels = model.explain(scene, question, **many).plot_losses().axes
    assert [len(panel.lines) for panel in panels] == [2]
    e = model.explain(scene, question, method="igos+", **many)
    for parts in e.iterations:
        assert math.isclose(sum(parts.terms), parts.regulariser, rel_tol=1e-9, abs_tol=1e-12)
    panels = e.plot_losses().axes
    assert [len(panel.lines) for panel in panels] == [2, 3]
    assert list(panels[0].lines[0].get_ydata()) == [parts.deletion for parts in e.iterations]


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"stpes": 1}, "stpes: explain has no such setting; did you mean steps"),
        ({"device": "cpu"}, "device: explain has no such setting"),
        ({"steps": 0}, "steps: expected 1 to 10000, found 0"),
        ({"steps": "many"}, "invalid value 'many' for '--steps <N>'"),
        ({"method": "gradcam"}, "possible values: fovea, "),
        ({"method": "fovea", "lr": 1.0}, "--lr: expected a method that reads it"),
        ({"no_curves": 3}, "--no-curves"),
        ({"noise": float("nan")}, "noise: expected a number"),
        ({"compat": "lvlm-interpretation"}, "compat: explain has no such setting"),
    ],
)
def test_wrong_settings_are_named(model, scene, question, settings, words):
    with pytest.raises(foveate.SettingError) as caught:
        model.explain(scene, question, **settings)
    assert words in str(caught.value)
    assert isinstance(caught.value, (foveate.Error, ValueError)) and caught.value.cause is None


def test_errors_say_what_the_command_says(model, scene, question, command, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(scene.read_bytes()[:100])
    for image, text, settings, kind in [
        (broken, question, {}, foveate.PictureError),
        (tmp_path / "none.png", question, {}, foveate.PictureError),
        (scene, "  ", {}, foveate.QuestionError),
        (scene, question, {"memory_budget": 1}, foveate.MemoryBudgetError),
        (scene, question, {"max_pixels": 3}, foveate.PictureError),
    ]:
        with pytest.raises(kind) as caught:
            model.explain(image, text, **settings)
        options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        out = tmp_path / "out"
        said = command("explain", "--image", image, "--question", text, "--out", out, *options)
        assert said.returncode == 2
        assert said.stderr.splitlines()[-1] == f"foveate: {caught.value}"


def test_models_that_cannot_be_opened(tmp_path):
    for arguments, options, kind, words in [
        ([tmp_path], {}, foveate.CheckpointError, "config.json"),
        (["nobody/nothing"], {}, foveate.CheckpointError, "nobody/nothing"),
        ([], {"device": "tpu"}, foveate.SettingError, "auto, cpu, or cuda:N"),
        ([], {"device": "cuda:99"}, foveate.DeviceError, "cuda:99"),
        ([], {"dtype": "f8"}, foveate.SettingError, "possible values: auto, bf16, f16"),
        ([], {"threads": -1}, foveate.SettingError, "--threads"),
    ]:
        with pytest.raises(kind, match=re.escape(words)):
            foveate.load(*arguments, **options)


def test_a_model_is_described(model, demo):
    assert (model.family, model.device, model.dtype) == ("llava", "cpu", "f32")
    assert "llava" in repr(model)
    assert foveate.load(demo / "model", device="cpu").name == str(demo / "model")


def test_progress_is_told_and_can_end_the_work(model, scene, question, quick, capsys):
    told = []
    model.explain(scene, question, progress=lambda *state: told.append(state), **quick)
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["prepare", "answer", "select", "optimise", "curves", "faithfulness"]
    assert ("optimise", 2, 2) in told

    def stop(stage, done, total):
        if stage == "optimise":
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        model.explain(scene, question, progress=stop, **quick)
    model.explain(scene, question, progress=True, **quick)
    assert "optimise 2/2" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="no signals")
def test_ctrl_c_stops_at_the_next_batch(model, scene, question):
    begun = threading.Event()

    def interrupt():
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    # A shell's background jobs begin with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.explain(
                scene,
                question,
                iterations=1000,
                progress=lambda stage, *_: stage == "optimise" and begun.set(),
            )
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    assert time.monotonic() - started < 30


def test_other_threads_run_meanwhile(model, scene, question):
    counted, done = [], threading.Event()

    def count():
        while not done.is_set():
            counted.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    started = time.monotonic()
    model.explain(scene, question, iterations=2)
    ended = time.monotonic()
    done.set()
    thread.join()
    within = [at for at in counted if started < at < ended]
    # A thread that waits for the lock until the work is done counts nothing.
    assert len(within) > 20 * (ended - started), (len(within), ended - started)


def test_a_place_that_cannot_be_written_to(explained, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(foveate.OutputError, match="expected a folder to write to") as caught:
        explained.save(tmp_path / "file" / "out")
    assert isinstance(caught.value, OSError)


def test_the_overlay_is_that_of_the_file(explained, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    explained.save(tmp_path)
    with Image.open(tmp_path / "overlay.png") as image:
        assert (numpy.asarray(image) == numpy.asarray(explained.overlay())).all()


def test_html_needs_nothing_else(model, explained, scene, quick):
    html = explained._repr_html_()
    assert html.count("data:image/png;base64,") == 2
    without = re.sub(r"data:image/png;base64,[^\"]*", "", html)
    assert "<script" not in without and "//" not in without and "url(" not in without
    for token in explained.tokens:
        assert f"{token.llr:+.3f} nats" in html
    # Two in one notebook have nothing in common.
    names = re.compile(r'id="([^"]+)"')
    assert not set(names.findall(html)) & set(names.findall(explained._repr_html_()))
    e = model.explain(scene, "<b>What</b> color is the star?", answer="<i>red</i>", **quick)
    assert "<b>What" not in e._repr_html_() and "<i>" not in e._repr_html_()


def test_plots(explained):
    pytest.importorskip("matplotlib")
    figure = explained.plot()
    assert len(figure.axes) == 4
    figure.canvas.draw()
    # What a notebook shows, without pyplot.
    for shown in (figure, explained.plot_losses()):
        assert shown._repr_png_().startswith(b"\x89PNG\r\n")


def test_every_setting_is_documented_and_typed():
    from foveate import _foveate

    for function, documented in [
        ("explain", foveate.Model.explain),
        ("attribute", foveate.attribute),
        ("load", foveate.load),
    ]:
        for name, help, _ in _foveate.options(function):
            assert help and re.search(rf"\b{name}\b", documented.__doc__), name
    text = foveate.__path__[0] + "/_keywords.py"
    with open(text, encoding="utf-8") as file:
        typed = set(re.findall(r"^        (\w+): ", file.read(), re.MULTILINE))
    assert {name for name, _, _ in _foveate.options("explain")} == typed
