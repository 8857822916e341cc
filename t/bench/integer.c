/*
 * Convolutions of ResNet-50 and MobileNetV2, one after the other, on integers
 * and on floats: how fast each is, and its share of what the instruction set
 * can do at most.
 *
 *     integer [SECONDS [WORD]]
 *
 * Prints a line for each layer (whose name has WORD), and the sum of a whole
 * network's: milliseconds on integers and floats, GOP/s, share of the peak.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/op.h"


typedef struct {
    const char  *name;
    int          times;           /* in the network */
    int          size;            /* of the input */
    int          in;
    int          out;
    int          kernel;
    int          stride;
    int          residual;
} layer_t;

/* A convolution ready to run. */
typedef struct {
    infer_graph_t   *graph;
    infer_node_t    *node;
    infer_param_t    param;
    infer_tensor_t   x, residual, y;
    const infer_tensor_t  *in[5];
    infer_tensor_t  *out[1];
    infer_call_t     call;
} conv_t;


static const layer_t  layers[] = {
    { "resnet50 conv1", 1, 224, 3, 64, 7, 2, 0 },
    { "resnet50 2 1x1 64-64", 1, 56, 64, 64, 1, 1, 0 },
    { "resnet50 2 1x1 256-64", 2, 56, 256, 64, 1, 1, 0 },
    { "resnet50 2 3x3 64-64", 3, 56, 64, 64, 3, 1, 0 },
    { "resnet50 2 1x1 64-256", 1, 56, 64, 256, 1, 1, 0 },
    { "resnet50 2 1x1 64-256 +", 3, 56, 64, 256, 1, 1, 1 },
    { "resnet50 3 1x1 256-128", 1, 56, 256, 128, 1, 1, 0 },
    { "resnet50 3 3x3 128-128 /2", 1, 56, 128, 128, 3, 2, 0 },
    { "resnet50 3 1x1 512-128", 3, 28, 512, 128, 1, 1, 0 },
    { "resnet50 3 3x3 128-128", 3, 28, 128, 128, 3, 1, 0 },
    { "resnet50 3 1x1 128-512 +", 4, 28, 128, 512, 1, 1, 1 },
    { "resnet50 3 1x1 256-512 /2", 1, 56, 256, 512, 1, 2, 0 },
    { "resnet50 4 1x1 512-256", 1, 28, 512, 256, 1, 1, 0 },
    { "resnet50 4 3x3 256-256 /2", 1, 28, 256, 256, 3, 2, 0 },
    { "resnet50 4 1x1 1024-256", 5, 14, 1024, 256, 1, 1, 0 },
    { "resnet50 4 3x3 256-256", 5, 14, 256, 256, 3, 1, 0 },
    { "resnet50 4 1x1 256-1024 +", 6, 14, 256, 1024, 1, 1, 1 },
    { "resnet50 4 1x1 512-1024 /2", 1, 28, 512, 1024, 1, 2, 0 },
    { "resnet50 5 1x1 1024-512", 1, 14, 1024, 512, 1, 1, 0 },
    { "resnet50 5 3x3 512-512 /2", 1, 14, 512, 512, 3, 2, 0 },
    { "resnet50 5 1x1 2048-512", 2, 7, 2048, 512, 1, 1, 0 },
    { "resnet50 5 3x3 512-512", 2, 7, 512, 512, 3, 1, 0 },
    { "resnet50 5 1x1 512-2048 +", 3, 7, 512, 2048, 1, 1, 1 },
    { "resnet50 5 1x1 1024-2048 /2", 1, 14, 1024, 2048, 1, 2, 0 },
    { "resnet50 fc", 1, 1, 2048, 1000, 1, 1, 0 },

    { "mobilenet_v2 conv1", 1, 224, 3, 32, 3, 2, 0 },
    { "mobilenet_v2 dw 32", 1, 112, 32, 0, 3, 1, 0 },
    { "mobilenet_v2 1x1 32-16", 1, 112, 32, 16, 1, 1, 0 },
    { "mobilenet_v2 1x1 16-96", 1, 112, 16, 96, 1, 1, 0 },
    { "mobilenet_v2 dw 96 /2", 1, 112, 96, 0, 3, 2, 0 },
    { "mobilenet_v2 1x1 96-24", 1, 56, 96, 24, 1, 1, 0 },
    { "mobilenet_v2 1x1 24-144", 2, 56, 24, 144, 1, 1, 0 },
    { "mobilenet_v2 dw 144", 1, 56, 144, 0, 3, 1, 0 },
    { "mobilenet_v2 1x1 144-24 +", 1, 56, 144, 24, 1, 1, 1 },
    { "mobilenet_v2 dw 144 /2", 1, 56, 144, 0, 3, 2, 0 },
    { "mobilenet_v2 1x1 144-32", 1, 28, 144, 32, 1, 1, 0 },
    { "mobilenet_v2 1x1 32-192", 3, 28, 32, 192, 1, 1, 0 },
    { "mobilenet_v2 dw 192", 2, 28, 192, 0, 3, 1, 0 },
    { "mobilenet_v2 1x1 192-32 +", 2, 28, 192, 32, 1, 1, 1 },
    { "mobilenet_v2 dw 192 /2", 1, 28, 192, 0, 3, 2, 0 },
    { "mobilenet_v2 1x1 192-64", 1, 14, 192, 64, 1, 1, 0 },
    { "mobilenet_v2 1x1 64-384", 4, 14, 64, 384, 1, 1, 0 },
    { "mobilenet_v2 dw 384", 4, 14, 384, 0, 3, 1, 0 },
    { "mobilenet_v2 1x1 384-64 +", 3, 14, 384, 64, 1, 1, 1 },
    { "mobilenet_v2 1x1 384-96", 1, 14, 384, 96, 1, 1, 0 },
    { "mobilenet_v2 1x1 96-576", 3, 14, 96, 576, 1, 1, 0 },
    { "mobilenet_v2 dw 576", 2, 14, 576, 0, 3, 1, 0 },
    { "mobilenet_v2 1x1 576-96 +", 2, 14, 576, 96, 1, 1, 1 },
    { "mobilenet_v2 dw 576 /2", 1, 14, 576, 0, 3, 2, 0 },
    { "mobilenet_v2 1x1 576-160", 1, 7, 576, 160, 1, 1, 0 },
    { "mobilenet_v2 1x1 160-960", 3, 7, 160, 960, 1, 1, 0 },
    { "mobilenet_v2 dw 960", 3, 7, 960, 0, 3, 1, 0 },
    { "mobilenet_v2 1x1 960-160 +", 2, 7, 960, 160, 1, 1, 1 },
    { "mobilenet_v2 1x1 960-320", 1, 7, 960, 320, 1, 1, 0 },
    { "mobilenet_v2 1x1 320-1280", 1, 7, 320, 1280, 1, 1, 0 },
    { "mobilenet_v2 fc", 1, 1, 1280, 1000, 1, 1, 0 }
};


static void *
memory(size_t size)
{
    void  *p = aligned_alloc(64, (size + 127) / 64 * 64);

    if (p == NULL) {
        abort();
    }

    memset(p, 0, (size + 127) / 64 * 64);

    return p;
}


static void
fill(infer_tensor_t *t, const infer_value_t *v)
{
    size_t  n;

    infer_value_tensor(v, 1, t);
    n = infer_numel(t);
    t->data = memory(n * infer_dtype_size(t->dtype));

    for (size_t i = 0; i < n; i++) {
        if (t->dtype == INFER_F32) {
            ((float *) t->data)[i] = (float) (rand() % 200 - 100) / 100;
        } else {
            ((uint8_t *) t->data)[i] = (uint8_t) rand();
        }
    }
}


static infer_value_t *
constant(infer_graph_t *g, infer_dtype_t dtype, int rank, const int64_t *dim)
{
    infer_tensor_t  t;
    infer_value_t  *v = infer_graph_constant(g, "w", dtype, rank, dim, NULL);

    fill(&t, v);
    v->data = t.data;

    return v;
}


static conv_t *
make(const layer_t *l, int integers)
{
    int              depthwise = l->out == 0;
    size_t           size;
    int64_t          n = depthwise ? l->in : l->out, out;
    int64_t          w[] = { n, depthwise ? 1 : l->in, l->kernel, l->kernel };
    conv_t          *c = calloc(1, sizeof(conv_t));
    infer_dtype_t    dtype = integers ? INFER_U8 : INFER_F32;
    infer_error_t    err;
    infer_value_t   *in[5] = { NULL }, *y;
    infer_window_t  *window = integers ? &c->param.qconv.window
                                       : &c->param.conv.window;
    infer_unary_t    relu = { INFER_CLIP, 0, 6 };

    for (int i = 0; i < 3; i++) {
        window->kernel[i] = i == 0 ? 1 : l->kernel;
        window->stride[i] = i == 0 ? 1 : l->stride;
        window->before[i] = window->after[i] = i == 0 ? 0 : l->kernel / 2;
        window->dilation[i] = 1;
    }

    out = (l->size - 1) / l->stride + 1;

    if (integers) {
        c->param.qconv.groups = depthwise ? l->in : 1;
        c->param.qconv.zero = 3;
        c->param.qconv.end.dtype = INFER_U8;
        c->param.qconv.end.act = relu;
        c->param.qconv.end.out.scale = 0.1f;
        c->param.qconv.end.residual.scale = 0.1f;

    } else {
        c->param.conv.groups = depthwise ? l->in : 1;
        c->param.conv.act = relu;
    }

    c->graph = infer_graph_create("bench", &err);

    in[0] = infer_graph_value(c->graph, "x", dtype, 4, (infer_dim_t[]) {
                              { 1, 0 }, { l->size, 0 }, { l->size, 0 },
                              { l->in, 0 } });
    in[1] = constant(c->graph, integers ? INFER_I8 : INFER_F32, 4, w);
    in[2] = constant(c->graph, integers ? INFER_I32 : INFER_F32, 1, &n);
    in[3] = constant(c->graph, INFER_F32, 1, &n);

    if (l->residual) {
        in[4] = infer_graph_value(c->graph, "r", dtype, 4, (infer_dim_t[]) {
                                  { 1, 0 }, { out, 0 }, { out, 0 },
                                  { n, 0 } });
    }

    y = infer_graph_emit1(c->graph, integers ? INFER_OP_QCONV : INFER_OP_CONV,
                          &c->param, l->name, in, 5);
    if (y == NULL) {
        fprintf(stderr, "%s\n", err.text);
        exit(2);
    }

    c->node = c->graph->node[0];
    fill(&c->x, in[0]);
    fill(&c->y, y);
    c->in[0] = &c->x;
    c->out[0] = &c->y;

    if (l->residual) {
        fill(&c->residual, in[4]);
        c->in[4] = &c->residual;
    }

    size = c->node->op->pack_size(c->node);
    c->call.packed = memory(size);
    c->node->op->pack(c->node, (void *) c->call.packed);
    c->call.param = &c->param;
    c->call.in = c->in;
    c->call.out = c->out;
    c->call.n_in = 5;
    c->call.n_out = 1;
    c->call.kernels = infer_kernels();
    size = (c->node->op->scratch(&c->call) + 63) / 64 * 64;
    c->call.scratch_size = size;
    c->call.scratch = memory(size);

    return c;
}


static double
seconds(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}


/* The best time of a run, in milliseconds. */
static double
best(conv_t *c, double limit)
{
    double  begin, end = seconds() + limit, now, least = 1e9;

    do {
        begin = seconds();
        c->node->op->run(&c->call);
        now = seconds();
        least = now - begin < least ? now - begin : least;
    } while (now < end);

    return least * 1e3;
}


static void
drop(conv_t *c)
{
    free(c->x.data);
    free(c->y.data);
    free(c->residual.data);
    free((void *) c->call.packed);
    free(c->call.scratch);

    for (size_t i = 0; i < c->graph->n_values; i++) {
        free((void *) c->graph->value[i]->data);
    }

    infer_graph_close(c->graph);
    free(c);
}


static void
put(const char *name, double macs, double integers, double floats,
    double peak)
{
    double  rate = 2 * macs / integers / 1e6;

    printf("%-28s %8.4f %8.4f  %5.2f  %7.1f  %5.1f %%\n", name, integers,
           floats, floats / integers, rate, 100 * rate / peak);
}


int
main(int argc, char **argv)
{
    double       limit = argc > 1 ? atof(argv[1]) : 4, peak, ms[2], work;
    double       sum[3] = { 0 };
    conv_t      *c;
    const char  *word = argc > 2 ? argv[2] : "";
    size_t       n = sizeof(layers) / sizeof(layers[0]);

    peak = infer_peak_gops();
    limit /= 2 * (double) n;

    printf("%s, at most %.0f GOP/s of integers, %.0f GFLOP/s\n\n%-28s "
           "%8s %8s  %5s  %7s\n", infer_isa(), peak, infer_peak_gflops(),
           "layer", "u8 ms", "f32 ms", "ratio", "GOP/s");

    for (size_t i = 0; i < n; i++) {
        if (strstr(layers[i].name, word) == NULL) {
            continue;
        }

        for (int k = 0; k < 2; k++) {
            c = make(&layers[i], k == 0);
            ms[k] = best(c, limit);
            work = (double) c->node->op->macs(c->node);
            drop(c);
        }

        put(layers[i].name, work, ms[0], ms[1], peak);
        sum[0] += layers[i].times * work;
        sum[1] += layers[i].times * ms[0];
        sum[2] += layers[i].times * ms[1];

        if (i + 1 == n || layers[i].name[0] != layers[i + 1].name[0]) {
            put("all, as often as they are", sum[0], sum[1], sum[2], peak);
            printf("\n");
            memset(sum, 0, sizeof(sum));
        }
    }

    return 0;
}
