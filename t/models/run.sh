#!/bin/sh
# make test-models: the engine against PIL, PyTorch and ONNX Runtime on
# real architectures, quantized ones too, quantization against floats, the
# module against the infer command, monitoring on a hundred orders of a stream.
#
#     t/models/run.sh BUILD
#
# Models, inputs and reference outputs stay under BUILD/models; they are made
# again only when they are older than what makes them.

set -e

BUILD=${1:?usage: run.sh BUILD}
MODELS=$BUILD/models

export BUILD
export NODE_PATH="$MODELS/node/node_modules"

t/models/prepare.sh "$BUILD"

for model in "$MODELS"/*.onnx; do
    name=$(basename "$model" .onnx)
    output=$MODELS/reference/$name

    # The size of the input is the only thing that a name does not tell.
    case $name in
    *_training)     continue ;;
    inception_v3)   inputs="299_5 299_0" ;;
    resnet18)       inputs="224_5 224_0 photo_224" ;;
    resnet18_fixed) inputs="224_0" ;;
    *)              inputs="224_5 224_0" ;;
    esac

    if [ "$output/done" -nt "$model" ] \
       && [ "$output/done" -nt t/models/reference.js ]
    then
        continue
    fi

    set --
    for input in $inputs; do
        set -- "$@" "$MODELS/input/$input.npy"
    done

    mkdir -p "$output"
    node t/models/reference.js "$model" "$output" "$@"
    touch "$output/done"
done

# What page.t needs: a driver for Debian's chromium, a judge of OpenAPI.
if [ ! -e "$MODELS/node/page" ]; then
    npm install --prefix "$MODELS/node" --ignore-scripts --no-audit \
        --no-fund --loglevel=error playwright-core@1.65.1 \
        @apidevtools/swagger-parser@13.1.0
    touch "$MODELS/node/page"
fi

status=0
prove --timer -v -e /usr/bin/python3 t/models/image.py || status=1
prove --timer -v -e /usr/bin/python3 t/models/quantized.py || status=1
prove --timer -v -e /usr/bin/python3 t/models/calibrated.py || status=1
for script in torchscript torch_operators torchlanguage; do
    prove --timer -v -e /usr/bin/python3 t/models/$script.py :: "$BUILD" \
        || status=1
done
DRIFT_SHUFFLES=100 DRIFT_STEP=10 prove --timer -v -e '' "$BUILD/t/drift" \
    || status=1
prove --timer -v t/models/*.t || status=1
exit $status
