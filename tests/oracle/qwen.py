"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL of Hugging Face: a picture of any shape in whole patches, in float64."""

import torch
from PIL import Image
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from record import View
from tiled import Tiled

# The processors of pictures with text, and of videos.
PROCESSORS = {
    "qwen2_vl": (Qwen2VLProcessor, Qwen2VLVideoProcessor),
    "qwen2_5_vl": (Qwen2_5_VLProcessor, Qwen2VLVideoProcessor),
    "qwen3_vl": (Qwen3VLProcessor, Qwen3VLVideoProcessor),
}


class QwenVl(Tiled):
    """As tiled.Tiled; pixels are a list of one view (B, 3, h, w), which is cut into patches here."""

    types = tuple(PROCESSORS)

    def __init__(self, folder, dtype=torch.float64, attention="eager"):
        super().__init__(folder, dtype, attention)
        cls, videos = PROCESSORS[self.config.model_type]
        self.own = cls(self.processor, self.tokenizer, videos())
        self.picture = None

    def pixels(self, rgb):
        """The processor's patches, put back into the picture that they were cut from."""
        self.picture = Image.fromarray(rgb)
        out = self.processor(self.picture, return_tensors="pt")
        (_, rows, columns), images = out["image_grid_thw"][0].tolist(), self.processor
        patch, merge, frames = images.patch_size, images.merge_size, images.temporal_patch_size
        shape = (rows // merge, columns // merge, merge, merge, 3, frames, patch, patch)
        patches = out["pixel_values"].to(self.dtype).reshape(shape)
        if not (patches == patches[:, :, :, :, :, :1]).all():
            raise SystemExit("the frames of a picture differ")
        picture = patches[:, :, :, :, :, 0].permute(4, 0, 2, 5, 1, 3, 6)
        return [picture.reshape(1, 3, rows * patch, columns * patch)]

    def patches(self, picture):
        """Patches and grid of pictures (B, 3, h, w), as the processor makes them."""
        batch, _, height, width = picture.shape
        patch, merge, frames = self.processor.patch_size, self.processor.merge_size, self.processor.temporal_patch_size
        rows, columns = height // patch, width // patch
        cut = picture.reshape(batch, 3, rows // merge, merge, patch, columns // merge, merge, patch)
        cut = cut.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, frames, -1, -1)
        return cut.reshape(batch * rows * columns, -1), torch.tensor([[1, rows, columns]]).expand(batch, -1)

    def views(self, rgb):
        height, width = self.pixels(rgb)[0].shape[2:]
        return [View(height, width, height, width, 0, 0)]

    def prompt(self, question, pixels=None):
        """As the processor itself expands and tokenises it."""
        text = self.prompt_text(question)
        return self.own(images=self.picture, text=text, return_tensors="pt")["input_ids"], text

    def logits(self, ids, pixels):
        values, grid = self.patches(pixels[0])
        ids = ids.expand(len(grid), -1)
        types = (ids == self.config.image_token_id).int()
        return self.model(input_ids=ids, pixel_values=values, image_grid_thw=grid, mm_token_type_ids=types).logits
