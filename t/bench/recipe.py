"""The service that the module replaces: FastAPI, TorchScript, torchvision.

It is what tutorials say: the model is loaded once, traced; an upload is read,
decoded by PIL, transformed by torchvision, run without gradients.

MODEL    a file that torch.jit.trace has made (torchscript.py)
THREADS  of PyTorch in this process
"""

import io
import os

import torch
import torchvision.transforms as T
from fastapi import FastAPI, File, UploadFile
from PIL import Image

torch.set_num_threads(int(os.environ["THREADS"]))

app = FastAPI()
model = torch.jit.load(os.environ["MODEL"])
model.eval()

transform = T.Compose([
    T.Resize(256),
    T.CenterCrop(224),
    T.ToTensor(),
    T.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
])


@app.post("/predict")
async def predict(file: UploadFile = File(...)):
    image = Image.open(io.BytesIO(await file.read())).convert("RGB")
    x = transform(image).unsqueeze(0)

    with torch.no_grad():
        output = model(x)

    probabilities = torch.softmax(output, dim=1)
    best = probabilities.argmax(dim=1).item()

    return {"class": best, "confidence": probabilities[0, best].item()}
