"""The method on models of Python."""

import math

import pytest

import foveate

numpy = pytest.importorskip("numpy")

SIZE = 28


@pytest.fixture(scope="module")
def image():
    return numpy.random.default_rng(7).normal(size=(3, SIZE, SIZE)).astype("float32")


@pytest.fixture(scope="module")
def baseline(image):
    return numpy.zeros_like(image)


class Corner:
    """A log-probability that rests on the picture's upper left quarter."""

    def __init__(self, image):
        self.weight = numpy.zeros_like(image)
        quarter = (slice(None), slice(0, SIZE // 2), slice(0, SIZE // 2))
        self.weight[quarter] = image[quarter] / (image[quarter] ** 2).sum()
        self.batches = []

    def scores(self, batch):
        self.batches.append(len(batch))
        share = (batch * self.weight).sum((1, 2, 3), dtype="float64")
        return -numpy.logaddexp(0, 3 - 6 * share)

    def __call__(self, batch):
        scores = self.scores(batch)
        slope = 6 * (1 - numpy.exp(scores))
        return scores, slope[:, None, None, None].astype("float32") * self.weight


def inside(mask):
    """The share of the saliency in the upper left quarter."""
    saliency, half = 1 - mask, len(mask) // 2
    return saliency[:half, :half].sum() / saliency.sum()


@pytest.mark.parametrize("method", ["igos+", "igos++", "fovea", "integrated-gradients"])
def test_methods_with_gradients_find_what_the_score_rests_on(image, baseline, method):
    model = Corner(image)
    # The paper's steps are those for a model of a hundred times as many pixels.
    gentle = {"l3": 1, "lr": 1} if method.startswith("igos") else {}
    found = foveate.attribute(model, image, baseline, 8, method=method, batch_size=5, **gentle)
    assert found.mask.shape == (8, 8) and found.mask.dtype == numpy.float32
    assert inside(found.mask) > 0.8
    assert max(model.batches) <= 5 and sum(model.batches) == found.evaluations
    assert found.saliency().shape == (SIZE, SIZE)


@pytest.mark.parametrize("method", ["occlusion", "rise"])
def test_methods_without_gradients_need_scores_alone(image, baseline, method):
    settings = {"samples": 300} if method == "rise" else {}
    model = Corner(image)
    found = foveate.attribute(model.scores, image, baseline, 8, method=method, **settings)
    saliency = 1 - found.mask
    assert saliency[:4, :4].mean() > 2 * saliency[4:, 4:].mean()


def test_gradients_are_those_of_the_blends(image, baseline):
    # At a mask that keeps everything, the gradient of a cell is what its removal takes away.
    model = Corner(image)
    settings = {"method": "input-x-gradient"}
    whole = foveate.attribute(model, image, baseline, 4, **settings).mask
    share = (image * model.weight).sum(0).reshape(4, SIZE // 4, 4, SIZE // 4).sum((1, 3))
    saliency = 1 - whole
    assert numpy.argmax(saliency) // 4 < 2 and numpy.argmax(saliency) % 4 < 2
    assert numpy.corrcoef(saliency.ravel(), share.ravel())[0, 1] > 0.9


def test_the_same_seed_gives_the_same_bits_in_any_batches(image, baseline):
    model = Corner(image)
    one = foveate.attribute(model, image, baseline, 8, seed=3, batch_size=1)
    other = foveate.attribute(model, image, baseline, 8, seed=3, batch_size=64)
    assert (one.mask == other.mask).all() and one.iterations == other.iterations
    third = foveate.attribute(model, image, baseline, 8, seed=4)
    assert (one.mask != third.mask).any()


def test_wrong_calls_are_named(image, baseline):
    model = Corner(image)

    def call(score=model, image=image, baseline=baseline, **settings):
        return foveate.attribute(score, image, baseline, **{"mask_size": 4, **settings})

    for arguments, kind, words in [
        ({"score": model.scores}, foveate.SettingError, "found scores alone"),
        ({"score": lambda batch: (model(batch)[0], 0)}, foveate.SettingError, "gradients of the"),
        ({"score": lambda batch: model(batch)[0][:1]}, foveate.SettingError, "expected 6 scores"),
        ({"image": image[:2]}, foveate.PictureError, "expected 3 x H x W floats"),
        ({"image": image.astype("u1")}, foveate.PictureError, "found uint8"),
        ({"baseline": baseline[:, 1:]}, foveate.PictureError, "expected one size"),
        ({"image": image * math.nan}, foveate.Error, "expected finite numbers, found NaN"),
        ({"threshold": 1}, foveate.SettingError, "threshold: attribute has no such setting"),
        ({"mask_size": 0}, foveate.SettingError, "mask-size: expected 1 to 1024, found 0"),
        ({"batch_size": 0}, foveate.SettingError, "expected at least 1"),
        ({"score": lambda batch: 1 / 0}, ZeroDivisionError, ""),
    ]:
        with pytest.raises(kind) as caught:
            call(**arguments)
        assert words in str(caught.value)

    def positive(batch):
        scores, gradients = model(batch)
        return scores + 9, gradients

    with pytest.raises(foveate.Error, match="log-probabilities, at most 0"):
        call(score=positive)
    call(score=positive, method="igos+")

    def interrupted(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(score=interrupted)


def test_torch(image, baseline):
    torch = pytest.importorskip("torch")
    model = Corner(image)
    weight = torch.from_numpy(model.weight)

    def score(batch):
        assert isinstance(batch, torch.Tensor)
        return -torch.nn.functional.softplus(3 - 6 * (batch * weight).sum((1, 2, 3)))

    settings = {"mask_size": 8, "noise": 0.0}
    native = foveate.attribute(model, image, baseline, **settings)
    found = foveate.attribute(
        score, torch.from_numpy(image), torch.from_numpy(baseline), **settings
    )
    assert numpy.abs(found.mask - native.mask).max() < 1e-4


def test_the_method_on_the_llava_of_transformers(model, demo, scene, question):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    Image = pytest.importorskip("PIL.Image")
    torch.set_num_threads(1)
    settings = {"method": "igos+", "mask_size": 8, "steps": 4, "iterations": 3, "noise": 0.0}
    e = model.explain(scene, question, baseline="zero", no_curves=True, **settings)
    llava = transformers.LlavaForConditionalGeneration.from_pretrained(
        demo / "model", dtype=torch.float32
    ).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(demo / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(demo / "model")
    with Image.open(scene) as scene:
        picture = scene.convert("RGB")
    black = Image.new("RGB", picture.size)
    pixels, baseline = processor([picture, black], return_tensors="pt")["pixel_values"]
    config = llava.config.vision_config
    patches = (config.image_size // config.patch_size) ** 2
    prompt = e.prompt.replace("<image>", patches * "<image>")
    prompt = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
    answer = torch.tensor([[token.id for token in e.tokens]])
    ids = torch.cat([prompt, answer], 1)
    first = prompt.shape[1]

    def score(batch):
        found = llava(
            input_ids=ids.expand(len(batch), -1),
            attention_mask=torch.ones_like(ids).expand(len(batch), -1),
            pixel_values=batch,
        )
        logps = found.logits[:, first - 1 : -1].log_softmax(-1)
        logps = logps.gather(-1, answer.expand(len(batch), -1)[:, :, None])[:, :, 0]
        return logps[:, e.keys].sum(1)

    with torch.no_grad():
        expected = sum(e.tokens[key].logp_image for key in e.keys)
        assert abs(float(score(pixels[None])) - expected) < 1e-3
    found = foveate.attribute(score, pixels, baseline, **settings)
    assert numpy.abs(found.mask - e.mask).max() < 1e-3
    for one, other in zip(found.iterations, e.iterations):
        assert abs(one.deletion - other.deletion) < 1e-3
        assert abs(one.regulariser - other.regulariser) < 1e-3
