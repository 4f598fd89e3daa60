"""Many samples."""

import pytest

import foveate


def test_each_sample_has_its_own_result_or_error(
    model, explained, scene, question, quick, tmp_path
):
    samples = [
        (scene, question),
        (tmp_path / "none.png", question),
        {"image": scene, "question": question, "answer": "The star is red.", "keys": [3]},
        {"image": scene, "question": " "},
        {"image": scene, "qusetion": question},
        {"image": scene, "question": question, "keys": ["one"]},
        (scene, question, 5),
        "scene.png",
        (scene, question, "The star is red."),
    ]
    found = list(model.explain_many(samples, **quick))
    kinds = [type(result) for result in found]
    Explanation, SampleError = foveate.Explanation, foveate.SampleError
    assert kinds == [
        Explanation,
        foveate.PictureError,
        Explanation,
        foveate.QuestionError,
        SampleError,
        SampleError,
        SampleError,
        SampleError,
        Explanation,
    ]
    assert (found[0].mask == explained.mask).all() and found[0].tokens == explained.tokens
    assert found[2].keys == [3] and found[8].answer == "The star is red."
    causes = [result.cause for result in found if isinstance(result, foveate.Error)]
    assert causes == ["picture", "question", "data", "data", "data", "data"]


def test_samples_are_taken_one_by_one_and_not_after_the_end(model, scene, question, quick):
    taken = []

    def samples():
        for number in range(100):
            taken.append(number)
            yield scene, question

    results = model.explain_many(samples(), no_curves=True, **quick)
    assert taken == []
    next(results)
    assert 1 <= len(taken) <= 4
    results.close()
    assert len(taken) <= 4


def test_wrong_settings_are_an_error_at_once(model):
    with pytest.raises(foveate.SettingError, match="stpes"):
        model.explain_many([], stpes=3)


def test_progress(model, scene, question, quick, capsys):
    found = model.explain_many([(scene, question)] * 2, progress=True, no_curves=True, **quick)
    assert len(list(found)) == 2
    assert "2/2" in capsys.readouterr().err
