"""The article's Hugging Face notebook as a plain script: FOLDER MODEL BATCH_SIZE PASSES; seconds of each pass."""

import sys
import time
from pathlib import Path

import torch
from transformers import AutoImageProcessor, pipeline

folder, model, batch_size, passes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


class Images(torch.utils.data.Dataset):
    paths = [str(path) for path in sorted(folder.glob("*.jpg"))]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.paths[index]


processor = AutoImageProcessor.from_pretrained(model, backend="pil")
classify = pipeline("image-classification", model=model, image_processor=processor, device="cpu")
for _ in range(passes):
    begin = time.perf_counter()
    answers = list(classify(Images(), batch_size=batch_size))
    print(time.perf_counter() - begin, len(answers))
