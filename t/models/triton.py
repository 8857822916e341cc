"""What Triton's own client sees of a server: triton.py PORT MODELS.

Prints a line "ok ..." or "not ok ..." for each thing that it has tried.
"""

import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

PORT, MODELS = sys.argv[1:]
BOOT = open('t/data/fashion/9-boot.png', 'rb').read()

client = triton.InferenceServerClient(f'127.0.0.1:{PORT}', concurrency=8)


def check(good, what):
    print('ok' if good else 'not ok', what, flush=True)


def infer(model, x, binary, **more):
    """The logits of a batch; tensors in JSON, or as they are."""
    tensor = triton.InferInput('input', x.shape, 'FP32')
    tensor.set_data_from_numpy(x, binary_data=binary)
    wanted = triton.InferRequestedOutput('logits', binary_data=binary)
    result = client.infer(model, [tensor], outputs=[wanted], **more)

    return result.as_numpy('logits')


def refused(what, status, call):
    try:
        call()
    except InferenceServerException as e:
        check(e.status() == str(status) and len(e.message()) > 0,
              f'{what}: {e.status()} {e.message()}')
    else:
        check(False, f'{what} is not refused')


# ---- the server and its models --------------------------------------------

check(client.is_server_live(), 'live')
check(client.is_server_ready(), 'ready')
check('binary_tensor_data' in client.get_server_metadata()['extensions'],
      'binary tensors are announced')
check({m['name'] for m in client.get_model_repository_index()}
      == {'fashion', 'resnet18'}, 'the index of models')

for model, shape in (('fashion', [-1, 1, 28, 28]),
                     ('resnet18', [-1, 3, 224, 224])):
    check(client.is_model_ready(model), f'{model}: ready')
    check(client.is_model_ready(model, '1'), f'{model}: its version')
    metadata = client.get_model_metadata(model)
    check(metadata['inputs'] == [{'name': 'input', 'datatype': 'FP32',
                                  'shape': shape}], f'{model}: input')
    check(client.get_model_config(model)['name'] == model, f'{model}: config')


# ---- inference ------------------------------------------------------------

# The reference is ONNX Runtime's.
x = np.load(f'{MODELS}/input/224_5.npy')
expected = np.load(f'{MODELS}/reference/resnet18/224_5.npy')
results = [infer('resnet18', x, binary) for binary in (False, True)]

for kind, y in zip(('JSON', 'binary'), results):
    error = np.abs(y - expected).max() / np.abs(expected).max()
    check(y.shape == expected.shape and error < 1e-4,
          f'resnet18, {kind}: {error:.1e} from ONNX Runtime')

check(results[0].tobytes() == results[1].tobytes(),
      'resnet18: the same bits in JSON and binary')

x = np.random.default_rng(1).normal(size=(3, 1, 28, 28)).astype(np.float32)
results = [infer('fashion', x, binary, request_id='7', model_version='1')
           for binary in (False, True)]
check(results[0].tobytes() == results[1].tobytes(),
      'fashion: the same bits in JSON and binary')
check(all(infer('fashion', x[i:i + 1], True).tobytes() == y.tobytes()
          for i, y in enumerate(results[1])), 'and for each row alone')

# An image in place of the tensor, its classes in place of the logits.
image = triton.InferInput('input', [1], 'BYTES')
image.set_data_from_numpy(np.array([BOOT], dtype=np.object_))
for binary in (False, True):
    wanted = triton.InferRequestedOutput('logits', binary_data=binary,
                                         class_count=2)
    result = client.infer('fashion', [image], outputs=[wanted])
    best = [str(c, 'utf-8') if isinstance(c, bytes) else c
            for c in result.as_numpy('logits').flatten()]
    check(len(best) == 2 and best[0].endswith(':9:Ankle boot'),
          f'classification of an image: {best}')

tensor = triton.InferInput('input', x.shape, 'FP32')
tensor.set_data_from_numpy(x)
pending = [client.async_infer('fashion', [tensor]) for _ in range(32)]
check({p.get_result().as_numpy('logits').tobytes() for p in pending}
      == {results[1].tobytes()}, '32 at a time')

statistics = client.get_inference_statistics('fashion')['model_stats'][0]
check(statistics['inference_stats']['success']['count'] == 39,
      'all of them are counted')


# ---- errors ---------------------------------------------------------------

refused('an unknown model', 404, lambda: infer('nobody', x, True))
refused('another shape', 422, lambda: infer('fashion', x[:, :, :14], True))
refused('an empty batch', 422, lambda: infer('fashion', x[:0], True))
