#!/bin/sh
# What `make test-models` and `make bench` share: ONNX Runtime (its package for
# Node.js, under BUILD/models/node) and torchvision's models as ONNX files.
#
#     t/models/prepare.sh BUILD

set -e

MODELS=${1:?usage: prepare.sh BUILD}/models
ORT=1.30.0

# The package ships its CPU library; its install script would fetch the CUDA
# one on top.
if [ ! -e "$MODELS/node/$ORT" ]; then
    npm install --prefix "$MODELS/node" --ignore-scripts --no-audit \
        --no-fund --loglevel=error "onnxruntime-node@$ORT"
    touch "$MODELS/node/$ORT"
fi

/usr/bin/python3 t/models/export.py "$MODELS"
