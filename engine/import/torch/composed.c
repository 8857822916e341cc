/*
 * Operators that are made of others, in the language that the evaluator
 * reads: each is a function whose name follows "torch.".  They are looked up
 * when no builtin takes a call.  What goes wrong in one of them is told with
 * the place of the call.
 */

#include <string.h>

#include "import/torch/eval.h"


/* ---- activations ------------------------------------------------------ */

static const char  activations[] =
    "def softshrink(self, lambd=0.5):\n"
    "  return torch.sub(self, torch.clamp(self, torch.neg(lambd), lambd))\n"

    "def hardshrink(self, lambd=0.5):\n"
    "  return torch.masked_fill(self, torch.le(torch.abs(self), lambd), 0.)\n"

    "def threshold(self, threshold, value):\n"
    "  return torch.masked_fill(self, torch.le(self, threshold), value)\n"

    "def glu(self, dim=-1):\n"
    "  a, b, = torch.chunk(self, 2, dim)\n"
    "  return torch.mul(a, torch.sigmoid(b))\n"

    "def rrelu(self, lower=0.125, upper=0.3333333333333333, training=False,\n"
    "    generator=None):\n"
    "  slope = torch.div(torch.add(lower, upper), 2)\n"
    "  return torch.leaky_relu(torch.dropout(self, 0.5, training), slope)\n"

    "def logit(self, eps=None):\n"
    "  x = self\n"
    "  if torch.__isnot__(eps, None):\n"
    "    x = torch.clamp(x, eps, torch.sub(1, eps))\n"
    "  return torch.log(torch.div(x, torch.sub(1, x)))\n";


/* ---- functions of a number -------------------------------------------- */

static const char  functions[] =
    "def sign(self):\n"
    "  return torch.sub(torch.type_as(torch.gt(self, 0), self),\n"
    "    torch.type_as(torch.lt(self, 0), self))\n"

    "def trunc(self):\n"
    "  return torch.div(self, 1, rounding_mode=\"trunc\")\n"
    "def fix(self):\n"
    "  return torch.trunc(self)\n"
    "def frac(self):\n"
    "  return torch.sub(self, torch.trunc(self))\n"

    "def log2(self):\n"
    "  return torch.mul(torch.log(self), 1.4426950408889634)\n"
    "def log10(self):\n"
    "  return torch.mul(torch.log(self), 0.43429448190325182)\n"
    "def log1p(self):\n"
    "  return torch.log(torch.add(self, 1))\n"
    "def exp2(self):\n"
    "  return torch.exp(torch.mul(self, 0.69314718055994531))\n"
    "def expm1(self):\n"
    "  return torch.sub(torch.exp(self), 1)\n"
    "def sinh(self):\n"
    "  return torch.mul(torch.sub(torch.exp(self),\n"
    "    torch.exp(torch.neg(self))), 0.5)\n"
    "def cosh(self):\n"
    "  return torch.mul(torch.add(torch.exp(self),\n"
    "    torch.exp(torch.neg(self))), 0.5)\n"

    "def isnan(self):\n"
    "  return torch.ne(self, self)\n"
    "def isinf(self):\n"
    "  return torch.eq(torch.abs(self), inf)\n"
    "def isfinite(self):\n"
    "  return torch.lt(torch.abs(self), inf)\n"

    "def nan_to_num(self, nan=None, posinf=None, neginf=None):\n"
    "  x = torch.masked_fill(self, torch.isnan(self), torch._or(nan, 0.))\n"
    "  largest = 3.4028234663852886e+38\n"
    "  x = torch.masked_fill(x, torch.eq(x, inf),\n"
    "    torch._or(posinf, largest))\n"
    "  return torch.masked_fill(x, torch.eq(x, torch.neg(inf)),\n"
    "    torch._or(neginf, torch.neg(largest)))\n"
    "def _or(value, other):\n"
    "  if torch.__is__(value, None):\n"
    "    y = other\n"
    "  else:\n"
    "    y = value\n"
    "  return y\n";


/* ---- two operands ----------------------------------------------------- */

static const char  pairs[] =
    "def lerp(self, end, weight):\n"
    "  return torch.add(self, torch.mul(weight, torch.sub(end, self)))\n"

    "def fmod(self, other):\n"
    "  q = torch.div(self, other, rounding_mode=\"trunc\")\n"
    "  return torch.sub(self, torch.mul(q, other))\n"

    "def subtract(self, other, alpha=1):\n"
    "  return torch.sub(self, other, alpha=alpha)\n"
    "def divide(self, other, rounding_mode=None):\n"
    "  return torch.div(self, other, rounding_mode=rounding_mode)\n"
    "def absolute(self):\n"
    "  return torch.abs(self)\n"
    "def greater(self, other):\n"
    "  return torch.gt(self, other)\n"
    "def greater_equal(self, other):\n"
    "  return torch.ge(self, other)\n"
    "def less(self, other):\n"
    "  return torch.lt(self, other)\n"
    "def less_equal(self, other):\n"
    "  return torch.le(self, other)\n"
    "def not_equal(self, other):\n"
    "  return torch.ne(self, other)\n"

    "def outer(self, vec2):\n"
    "  return torch.mul(torch.unsqueeze(self, 1), torch.unsqueeze(vec2, 0))\n"

    "def bilinear(input1, input2, weight, bias=None):\n"
    "  y = torch.einsum(\"bi,oij,bj->bo\", [input1, weight, input2])\n"
    "  if torch.__isnot__(bias, None):\n"
    "    y = torch.add(y, bias)\n"
    "  return y\n"

    "def cosine_similarity(x1, x2, dim=1, eps=1e-08):\n"
    "  a = torch.clamp_min(torch.norm(x1, 2, [dim]), eps)\n"
    "  b = torch.clamp_min(torch.norm(x2, 2, [dim]), eps)\n"
    "  return torch.div(torch.sum(torch.mul(x1, x2), [dim]),\n"
    "    torch.mul(a, b))\n"

    "def pairwise_distance(x1, x2, p=2, eps=1e-06, keepdim=False):\n"
    "  x = torch.add(torch.sub(x1, x2), eps)\n"
    "  return torch.norm(x, p, [-1], keepdim)\n"

    "def cdist(x1, x2, p=2, compute_mode=None):\n"
    "  x = torch.sub(torch.unsqueeze(x1, -2), torch.unsqueeze(x2, -3))\n"
    "  return torch.norm(x, p, [-1])\n"

    "def _weight_norm(v, g, dim=0):\n"
    "  axes = annotate(List[int], [])\n"
    "  for i in range(torch.dim(v)):\n"
    "    if torch.ne(i, dim):\n"
    "      torch.append(axes, i)\n"
    "  return torch.mul(v, torch.div(g, torch.norm(v, 2, axes, True)))\n";


/* ---- along a dimension ------------------------------------------------ */

/*
 * The largest are found one by one, equal ones in the order that they have.
 */
static const char  order[] =
    "def argmin(self, dim=None, keepdim=False):\n"
    "  return torch.argmax(torch.neg(self), dim, keepdim)\n"

    "def topk(self, k, dim=-1, largest=True, sorted=True):\n"
    "  n = torch.size(self, dim)\n"
    "  if torch.gt(k, n):\n"
    "    torch._refuse(\"k is larger than the dimension\")\n"
    "  if torch.gt(k, 64):\n"
    "    torch._refuse(\"to sort more than 64 elements, or to take the top of"
    " more, is not supported\")\n"
    "  shape = torch.mul([1], torch.dim(self))\n"
    "  shape[dim] = n\n"
    "  place = torch.view(torch.arange(n), shape)\n"
    "  values = annotate(List[Tensor], [])\n"
    "  indices = annotate(List[Tensor], [])\n"
    "  x = torch.to(self, 6)\n"
    "  if torch.__not__(largest):\n"
    "    x = torch.neg(x)\n"
    "  for j in range(k):\n"
    "    i0 = torch.argmax(x, dim, True)\n"
    "    torch.append(indices, i0)\n"
    "    torch.append(values, torch.gather(self, dim, i0))\n"
    "    x = torch.masked_fill(x, torch.eq(place, i0), torch.neg(inf))\n"
    "  return (torch.cat(values, dim), torch.cat(indices, dim))\n"

    "def sort(self, dim=-1, descending=False, stable=None):\n"
    "  return torch.topk(self, torch.size(self, dim), dim, descending)\n"

    "def argsort(self, dim=-1, descending=False, stable=None):\n"
    "  values, indices, = torch.sort(self, dim, descending)\n"
    "  return indices\n"

    "def kthvalue(self, k, dim=-1, keepdim=False):\n"
    "  v, i, = torch.topk(self, k, dim, False)\n"
    "  last = torch.sub(k, 1)\n"
    "  v = torch.narrow(v, dim, last, 1)\n"
    "  i = torch.narrow(i, dim, last, 1)\n"
    "  if torch.__not__(keepdim):\n"
    "    v = torch.squeeze(v, dim)\n"
    "    i = torch.squeeze(i, dim)\n"
    "  return (v, i)\n"

    "def median(self, dim, keepdim=False):\n"
    "  n = torch.size(self, dim)\n"
    "  k = torch.floordiv(torch.add(n, 1), 2)\n"
    "  return torch.kthvalue(self, k, dim, keepdim)\n"

    "def logsumexp(self, dim, keepdim=False):\n"
    "  m = torch.amax(self, dim, True)\n"
    "  s = torch.sum(torch.exp(torch.sub(self, m)), dim=dim,\n"
    "    keepdim=keepdim)\n"
    "  return torch.add(torch.log(s), torch.amax(self, dim, keepdim))\n"

    "def count_nonzero(self, dim=None):\n"
    "  return torch.sum(torch.ne(self, 0), dim=dim)\n"

    "def linalg_norm(self, ord=None, dim=None, keepdim=False):\n"
    "  return torch.norm(self, torch._or(ord, 2), dim, keepdim)\n";


/* ---- elements by indices ---------------------------------------------- */

static const char  indices[] =
    "def take_along_dim(self, indices, dim):\n"
    "  return torch.gather(self, dim, indices)\n"

    "def one_hot(self, num_classes=-1):\n"
    "  if torch.lt(num_classes, 1):\n"
    "    torch._refuse(\"torch.one_hot needs to be told num_classes\")\n"
    "  return torch.embedding(torch.eye(num_classes, dtype=4), self)\n"

    "def scatter(self, dim, index, value):\n"
    "  if isinstance(value, Tensor):\n"
    "    torch._refuse(\"torch.scatter of a tensor is not supported, of a"
    " number it is\")\n"
    "  n = torch.size(self, dim)\n"
    "  x = torch.transpose(index, dim, -1)\n"
    "  hit = torch.sum(torch.one_hot(x, n), [-2])\n"
    "  mask = torch.gt(torch.transpose(hit, dim, -1), 0)\n"
    "  return torch.masked_fill(self, mask, value)\n"

    "def embedding_bag(weight, indices, offsets, scale_grad_by_freq=False,\n"
    "    mode=0, sparse=False, per_sample_weights=None,\n"
    "    include_last_offset=False, padding_idx=None):\n"
    "  if torch.__isnot__(per_sample_weights, None):\n"
    "    torch._refuse(\"torch.embedding_bag with weights is not"
    " supported\")\n"
    "  n = torch.size(offsets, 0)\n"
    "  bags = annotate(List[Tensor], [])\n"
    "  for i in range(n):\n"
    "    start = torch.Int(torch.select(offsets, 0, i))\n"
    "    end = torch.size(indices, 0)\n"
    "    if torch.lt(torch.add(i, 1), n):\n"
    "      end = torch.Int(torch.select(offsets, 0, torch.add(i, 1)))\n"
    "    x = torch.slice(indices, 0, start, end)\n"
    "    torch.append(bags, torch._bag(weight, x, mode,\n"
    "      torch._or(padding_idx, -1)))\n"
    "  if include_last_offset:\n"
    "    last = torch.pop(bags)\n"
    "  return (torch.stack(bags), None, None, None)\n"

    "def _bag(weight, indices, mode, padding_idx):\n"
    "  e = torch.embedding(weight, indices)\n"
    "  real = torch.unsqueeze(torch.ne(indices, padding_idx), 1)\n"
    "  if torch.eq(mode, 2):\n"
    "    y = torch.amax(torch.masked_fill(e, torch.logical_not(real),\n"
    "      torch.neg(inf)), [0])\n"
    "  else:\n"
    "    y = torch.sum(torch.mul(e, real), [0])\n"
    "  if torch.eq(mode, 1):\n"
    "    y = torch.div(y, torch.clamp_min(torch.sum(real), 1))\n"
    "  return y\n";


/* ---- shapes ----------------------------------------------------------- */

static const char  shapes[] =
    "def pixel_shuffle(self, upscale_factor):\n"
    "  r = upscale_factor\n"
    "  b, c, h, w, = torch.size(self)\n"
    "  k = torch.floordiv(c, torch.mul(r, r))\n"
    "  x = torch.view(self, [b, k, r, r, h, w])\n"
    "  x = torch.permute(x, [0, 1, 4, 2, 5, 3])\n"
    "  return torch.reshape(x, [b, k, torch.mul(h, r), torch.mul(w, r)])\n"

    "def pixel_unshuffle(self, downscale_factor):\n"
    "  r = downscale_factor\n"
    "  b, c, h, w, = torch.size(self)\n"
    "  y = torch.floordiv(h, r)\n"
    "  z = torch.floordiv(w, r)\n"
    "  x = torch.view(self, [b, c, y, r, z, r])\n"
    "  x = torch.permute(x, [0, 1, 3, 5, 2, 4])\n"
    "  return torch.reshape(x, [b, torch.mul(c, torch.mul(r, r)), y, z])\n"

    "def channel_shuffle(self, groups):\n"
    "  c = torch.size(self, 1)\n"
    "  x = torch.unflatten(self, 1, [groups, torch.floordiv(c, groups)])\n"
    "  return torch.flatten(torch.transpose(x, 1, 2), 1, 2)\n"

    "def im2col(self, kernel_size, dilation, padding, stride):\n"
    "  k, l, = kernel_size\n"
    "  x = torch.pad(self, [padding[1], padding[1], padding[0],\n"
    "    padding[0]])\n"
    "  taken = annotate(List[Tensor], [])\n"
    "  for i in range(k):\n"
    "    r = torch._every(x, -2, i, k, dilation[0], stride[0])\n"
    "    for j in range(l):\n"
    "      torch.append(taken, torch._every(r, -1, j, l, dilation[1],\n"
    "        stride[1]))\n"
    "  return torch.flatten(torch.flatten(torch.stack(taken, 2), 3), 1, 2)\n"

    "def _every(self, dim, i, kernel, dilation, stride):\n"
    "  start = torch.mul(i, dilation)\n"
    "  rest = torch.mul(torch.sub(torch.sub(kernel, 1), i), dilation)\n"
    "  end = torch.sub(torch.size(self, dim), rest)\n"
    "  return torch.slice(self, dim, start, end, stride)\n"

    "def unfold(self, dimension, size, step):\n"
    "  taken = annotate(List[Tensor], [])\n"
    "  for i in range(size):\n"
    "    torch.append(taken, torch._every(self, dimension, i, size, 1,\n"
    "      step))\n"
    "  return torch.stack(taken, -1)\n"

    "def movedim(self, source, destination):\n"
    "  rank = torch.dim(self)\n"
    "  if isinstance(source, int):\n"
    "    source = [source]\n"
    "    destination = [destination]\n"
    "  order = torch.mul([-1], rank)\n"
    "  rest = range(rank)\n"
    "  for i in range(torch.len(source)):\n"
    "    s = torch.remainder(source[i], rank)\n"
    "    order[torch.remainder(destination[i], rank)] = s\n"
    "    torch.Delete(rest, torch.index(rest, s))\n"
    "  for i in range(rank):\n"
    "    if torch.eq(order[i], -1):\n"
    "      order[i] = torch.pop(rest, 0)\n"
    "  return torch.permute(self, order)\n"
    "def moveaxis(self, source, destination):\n"
    "  return torch.movedim(self, source, destination)\n"

    "def diagonal(self, offset=0, dim1=0, dim2=1):\n"
    "  if torch.ne(offset, 0):\n"
    "    torch._refuse(\"torch.diagonal beside the main one is not"
    " supported\")\n"
    "  x = torch.movedim(self, [dim1, dim2], [-2, -1])\n"
    "  n = ops.prim.min(torch.size(x, -2), torch.size(x, -1))\n"
    "  step = torch.add(torch.size(x, -1), 1)\n"
    "  return torch.slice(torch.flatten(x, -2), -1, 0,\n"
    "    torch.mul(n, step), step)\n"

    "def pad(self, pad, mode=\"constant\", value=None):\n"
    "  if torch.ne(mode, \"circular\"):\n"
    "    torch._refuse(torch.format(\"torch.pad of mode {} is not"
    " supported\", mode))\n"
    "  x = self\n"
    "  for i in range(torch.floordiv(torch.len(pad), 2)):\n"
    "    dim = torch.sub(-1, i)\n"
    "    n = torch.size(x, dim)\n"
    "    before = torch.slice(x, dim, torch.sub(n, pad[torch.mul(i, 2)]), n)\n"
    "    after = torch.slice(x, dim, 0, pad[torch.add(torch.mul(i, 2), 1)])\n"
    "    x = torch.cat([before, x, after], dim)\n"
    "  return x\n";


/* ---- parts and copies ------------------------------------------------- */

static const char  copies[] =
    "def unsafe_chunk(self, chunks, dim=0):\n"
    "  return torch._copies(torch.chunk(self, chunks, dim))\n"
    "def unsafe_split(self, split_size, dim=0):\n"
    "  return torch._copies(torch.split(self, split_size, dim))\n"
    "def _copies(views):\n"
    "  copies = annotate(List[Tensor], [])\n"
    "  for i in range(torch.len(views)):\n"
    "    torch.append(copies, torch.clone(views[i]))\n"
    "  return copies\n"

    "def tensor_split(self, sections, dim=0):\n"
    "  n = torch.size(self, dim)\n"
    "  small = torch.floordiv(n, sections)\n"
    "  extra = torch.remainder(n, sections)\n"
    "  sizes = annotate(List[int], [])\n"
    "  for i in range(sections):\n"
    "    if torch.lt(i, extra):\n"
    "      torch.append(sizes, torch.add(small, 1))\n"
    "    else:\n"
    "      torch.append(sizes, small)\n"
    "  return torch.split_with_sizes(self, sizes, dim)\n"

    "def hstack(tensors):\n"
    "  d = torch.sub(torch.dim(tensors[0]), 1)\n"
    "  return torch.cat(tensors, ops.prim.min(d, 1))\n"
    "def vstack(tensors):\n"
    "  return torch.cat(tensors, 0)\n"

    "def tile(self, dims):\n"
    "  n = ops.prim.max(torch.sub(torch.dim(self), torch.len(dims)), 0)\n"
    "  return torch.repeat(self, torch.add(torch.mul([1], n), dims))\n"

    "def repeat_interleave(self, repeats, dim, output_size=None):\n"
    "  d = torch.remainder(dim, torch.dim(self))\n"
    "  times = torch.mul([1], torch.add(torch.dim(self), 1))\n"
    "  e = torch.add(d, 1)\n"
    "  times[e] = repeats\n"
    "  x = torch.repeat(torch.unsqueeze(self, e), times)\n"
    "  return torch.flatten(x, d, e)\n"

    "def broadcast_to(self, size):\n"
    "  return torch.expand(self, size)\n"
    "def ravel(self):\n"
    "  return torch.flatten(self)\n"

    "def meshgrid(tensors, indexing=\"ij\"):\n"
    "  sizes = annotate(List[int], [])\n"
    "  for i in range(torch.len(tensors)):\n"
    "    torch.append(sizes, torch.numel(tensors[i]))\n"
    "  grids = annotate(List[Tensor], [])\n"
    "  for i in range(torch.len(tensors)):\n"
    "    shape = torch.mul([1], torch.len(tensors))\n"
    "    shape[i] = sizes[i]\n"
    "    grid = torch.expand(torch.view(tensors[i], shape), sizes)\n"
    "    if torch.eq(indexing, \"xy\"):\n"
    "      grid = torch.transpose(grid, 0, 1)\n"
    "    torch.append(grids, grid)\n"
    "  return grids\n"

    "def eye(n, m=None, dtype=None, layout=None, device=None,\n"
    "    pin_memory=None):\n"
    "  y = torch.arange(torch._or(m, n))\n"
    "  y = torch.eq(torch.unsqueeze(torch.arange(n), 1), y)\n"
    "  return torch.to(y, torch._or(dtype, 6))\n"

    "def linspace(start, end, steps, dtype=None, layout=None, device=None,\n"
    "    pin_memory=None):\n"
    "  step = torch.div(torch.sub(end, start),\n"
    "    float(ops.prim.max(torch.sub(steps, 1), 1)))\n"
    "  x = torch.mul(torch.arange(steps, dtype=7), step)\n"
    "  return torch.to(torch.add(x, start), torch._or(dtype, 6))\n";


/* ---- transposed convolutions ------------------------------------------ */

/*
 * With a stride of s, output q * s + r is the sum over j of weight s * j + r
 * times input q - j: a convolution for each r from 0 to s - 1, of every s-th
 * weight in reverse.  All of them are one, with s outputs (s * s in two
 * dimensions) for each, which then are put in order.  What padding leaves out
 * is cut off.
 */
static const char  transposed[] =
    "def conv_transpose1d(input, weight, bias=None, stride=1, padding=0,\n"
    "    output_padding=0, groups=1, dilation=1):\n"
    "  return torch._conv_transposed(input, weight, bias, stride, padding,\n"
    "    dilation, output_padding, groups)\n"
    "def conv_transpose2d(input, weight, bias=None, stride=1, padding=0,\n"
    "    output_padding=0, groups=1, dilation=1):\n"
    "  return torch._conv_transposed(input, weight, bias, stride, padding,\n"
    "    dilation, output_padding, groups)\n"

    "def _conv_transposed(input, weight, bias, stride, padding, dilation,\n"
    "    output_padding, groups):\n"
    "  n = torch.sub(torch.dim(input), 2)\n"
    "  if torch.gt(n, 2):\n"
    "    torch._refuse(\"a transposed convolution in three dimensions is not"
    " supported\")\n"
    "  s = torch._each(stride, n)\n"
    "  p = torch._each(padding, n)\n"
    "  o = torch._each(output_padding, n)\n"
    "  w = weight\n"
    "  size = annotate(List[int], [])\n"
    "  taps = annotate(List[int], [])\n"
    "  for i in range(n):\n"
    "    w = torch._spread(w, torch.add(i, 2), torch._each(dilation, n)[i])\n"
    "    k = torch.size(w, torch.add(i, 2))\n"
    "    x = torch.sub(torch.size(input, torch.add(i, 2)), 1)\n"
    "    x = torch.add(torch.mul(x, s[i]), torch.add(k, o[i]))\n"
    "    torch.append(size, torch.sub(x, torch.mul(p[i], 2)))\n"
    "    need = torch.add(k, ops.prim.max(torch.sub(o[i], p[i]), 0))\n"
    "    need = torch.floordiv(torch.add(need, torch.sub(s[i], 1)), s[i])\n"
    "    torch.append(taps, need)\n"
    "    need = torch.sub(torch.mul(need, s[i]), k)\n"
    "    w = torch._pad_behind(w, torch.add(i, 2), need)\n"
    "  y = torch._conv_phases(input, w, bias, s, taps, groups)\n"
    "  for i in range(n):\n"
    "    y = torch.narrow(y, torch.add(i, 2), p[i], size[i])\n"
    "  return y\n"

    "def _conv_phases(input, weight, bias, s, taps, groups):\n"
    "  c, k, = torch.slice(torch.size(weight), 0, 2)\n"
    "  c = torch.floordiv(c, groups)\n"
    "  b = torch.size(input, 0)\n"
    "  outputs = torch.mul(groups, k)\n"
    "  if torch.eq(torch.len(s), 1):\n"
    "    w = torch.view(weight, [groups, c, k, taps[0], s[0]])\n"
    "    w = torch.permute(torch.flip(w, [3]), [0, 2, 4, 1, 3])\n"
    "    w = torch.reshape(w, [-1, c, taps[0]])\n"
    "    y = torch.conv1d(input, w, torch._repeated(bias, s[0]), 1,\n"
    "      torch.sub(taps[0], 1), 1, groups)\n"
    "    y = torch.view(y, [b, outputs, s[0], torch.size(y, 2)])\n"
    "    y = torch.flatten(torch.transpose(y, 2, 3), 2)\n"
    "  else:\n"
    "    w = torch.view(weight, [groups, c, k, taps[0], s[0], taps[1], s[1]])\n"
    "    w = torch.permute(torch.flip(w, [3, 5]), [0, 2, 4, 6, 1, 3, 5])\n"
    "    w = torch.reshape(w, [-1, c, taps[0], taps[1]])\n"
    "    y = torch.conv2d(input, w,\n"
    "      torch._repeated(bias, torch.mul(s[0], s[1])), 1,\n"
    "      [torch.sub(taps[0], 1), torch.sub(taps[1], 1)], 1, groups)\n"
    "    y = torch.view(y, [b, outputs, s[0], s[1], torch.size(y, 2),\n"
    "      torch.size(y, 3)])\n"
    "    y = torch.permute(y, [0, 1, 4, 2, 5, 3])\n"
    "    y = torch.flatten(torch.flatten(y, 4), 2, 3)\n"
    "  return y\n"

    "def _each(value, n):\n"
    "  if isinstance(value, int):\n"
    "    y = torch.mul([value], n)\n"
    "  else:\n"
    "    y = value\n"
    "    if torch.eq(torch.len(value), 1):\n"
    "      y = torch.mul(value, n)\n"
    "  return y\n"

    "def _repeated(bias, times):\n"
    "  y = bias\n"
    "  if torch.__isnot__(bias, None):\n"
    "    y = torch.repeat_interleave(bias, times, 0)\n"
    "  return y\n"

    "def _pad_behind(self, dim, count):\n"
    "  pads = torch.mul([0, 0], torch.sub(torch.dim(self), dim))\n"
    "  pads[-1] = count\n"
    "  return torch.pad(self, pads)\n"

    "def _spread(self, dim, dilation):\n"
    "  y = self\n"
    "  if torch.gt(dilation, 1):\n"
    "    e = torch.add(dim, 1)\n"
    "    k = torch.mul(torch.sub(torch.size(self, dim), 1), dilation)\n"
    "    y = torch._pad_behind(torch.unsqueeze(self, e), e,\n"
    "      torch.sub(dilation, 1))\n"
    "    y = torch.narrow(torch.flatten(y, dim, e), dim, 0, torch.add(k, 1))\n"
    "  return y\n";


/* ---- cells of recurrent networks, and others --------------------------- */

static const char  others[] =
    "def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):\n"
    "  g = torch.add(torch.linear(input, w_ih, b_ih),\n"
    "    torch.linear(hx[0], w_hh, b_hh))\n"
    "  i, f, c, o, = torch.chunk(g, 4, 1)\n"
    "  c = torch.add(torch.mul(torch.sigmoid(f), hx[1]),\n"
    "    torch.mul(torch.sigmoid(i), torch.tanh(c)))\n"
    "  return (torch.mul(torch.sigmoid(o), torch.tanh(c)), c)\n"

    "def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):\n"
    "  r, z, n, = torch.chunk(torch.linear(input, w_ih, b_ih), 3, 1)\n"
    "  u, v, w, = torch.chunk(torch.linear(hx, w_hh, b_hh), 3, 1)\n"
    "  w = torch.mul(torch.sigmoid(torch.add(r, u)), w)\n"
    "  n = torch.tanh(torch.add(n, w))\n"
    "  z = torch.sigmoid(torch.add(z, v))\n"
    "  return torch.add(n, torch.mul(z, torch.sub(hx, n)))\n"

    "def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):\n"
    "  return torch.tanh(torch.add(torch.linear(input, w_ih, b_ih),\n"
    "    torch.linear(hx, w_hh, b_hh)))\n"
    "def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):\n"
    "  return torch.relu(torch.add(torch.linear(input, w_ih, b_ih),\n"
    "    torch.linear(hx, w_hh, b_hh)))\n"

    "def as_tensor(data, dtype=None, device=None):\n"
    "  if isinstance(data, Tensor):\n"
    "    y = torch.to(data, dtype)\n"
    "  else:\n"
    "    y = torch.tensor(data, dtype=dtype)\n"
    "  return y\n"

    "def __range_length(lo, hi, step):\n"
    "  n = torch.sub(hi, lo)\n"
    "  if torch.lt(step, 0):\n"
    "    n = torch.neg(n)\n"
    "  size = ops.prim.abs(step)\n"
    "  n = torch.floordiv(torch.add(n, torch.sub(size, 1)), size)\n"
    "  return ops.prim.max(n, 0)\n"
    "def __derive_index(index, start, step):\n"
    "  return torch.add(start, torch.mul(index, step))\n";


static const char *const  texts[] = {
    activations, functions, pairs, order, indices, shapes, copies, transposed,
    others
};


const torch_node_t *
torch_find_composed(torch_eval_t *t, const char *name)
{
    const size_t         n = sizeof(texts) / sizeof(texts[0]);
    const torch_node_t  *f;

    if (strncmp(name, "torch.", 6) != 0) {
        return NULL;
    }

    if (t->composed == NULL) {
        t->composed = infer_graph_alloc(t->g, n * sizeof(*t->composed));

        for (size_t i = 0; t->composed != NULL && i < n; i++) {
            t->composed[i] = torch_parse(t->g, "torch", texts[i],
                                         strlen(texts[i]));
            if (t->composed[i] == NULL) {
                t->composed = NULL;
            }
        }
    }

    for (size_t i = 0; t->composed != NULL && i < n; i++) {
        for (size_t k = 0; k < t->composed[i]->n; k++) {
            f = t->composed[i]->child[k];

            if (strcmp(f->name, name + 6) == 0) {
                return f;
            }
        }
    }

    return NULL;
}
