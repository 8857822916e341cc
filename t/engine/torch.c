/*
 * TorchScript archives that are broken: each byte of a small one, and of the
 * texts in it with the checksums right.  The language and the operators are
 * compared with PyTorch in t/models.
 */

#include <sys/resource.h>

#include "graph/graph.h"
#include "torch.h"
#include "tap.h"


static infer_error_t  err;


/* What an error must be: one line behind the path, not empty. */
static int
is_clean(infer_graph_t *g)
{
    int  clean;

    clean = g != NULL || (strncmp(err.text, "/proc/self/fd/", 14) == 0
                          && strchr(err.text, ':') != NULL
                          && strlen(err.text) > 20);
    infer_graph_close(g);

    return clean;
}


static void
test_whole(void)
{
    infer_graph_t  *g;

    archive_model(archive_pickle, sizeof(archive_pickle) - 1,
                  archive_constants, sizeof(archive_constants) - 1,
                  archive_code, sizeof(archive_code) - 1);
    g = archive_open(archive, archive_size, &err);

    if (ok(g != NULL, "an archive: %s", g == NULL ? err.text : "")) {
        ok(g->n_inputs == 1 && g->n_outputs == 1
           && strcmp(g->input[0].port.name, "x") == 0
           && strcmp(g->output[0].port.name, "output") == 0, "names");
        ok(g->output[0].port.rank == 2
           && g->output[0].port.dim[0] == INFER_BATCH
           && g->output[0].port.dim[1] == 8, "a shape that follows the batch");
        ok(g->summary.n_warnings == 0 && g->summary.parameters == 4,
           "4 parameters, no warning");
    }

    infer_graph_close(g);
}


/*
 * What torch.jit.trace was given, as PyTorch 2 keeps it: of (2, COLUMNS), its
 * data left out.
 */
static infer_graph_t *
traced(int columns)
{
    char                 inputs[] =
        "\x80\x02" "ctorch.jit._pickle\nrestore_type_tag\nq\0}("
        "X\7\0\0\0forwardq\1h\0](ctorch._utils\n_rebuild_tensor_v2\n(("
        "X\7\0\0\0storageq\2" "ctorch\nFloatStorage\n"
        "X\1\0\0\0" "0X\3\0\0\0cpuK\x20tQ" "K\0(K\2K\1t(K\4K\1t\x89"
        "ccollections\nOrderedDict\n)RtReX\x09\0\0\0List[Any]\x86R"
        "uX\x14\0\0\0" "Dict[str, List[Any]]\x86R.";
    const archive_file_t  file[] = {
        { "data/0", archive_weight, sizeof(archive_weight) },
        { "data.pkl", archive_pickle, sizeof(archive_pickle) - 1 },
        { "code/__torch__.py", archive_code, sizeof(archive_code) - 1 },
        { "constants.pkl", archive_constants, sizeof(archive_constants) - 1 },
        { "traced_inputs/0", "", 0 },
        { "traced_inputs.pkl", inputs, sizeof(inputs) - 1 },
    };
    char                 *size = memmem(inputs, sizeof(inputs), "K\2K\1t", 5);

    size[3] = (char) columns;
    archive_make(file, sizeof(file) / sizeof(file[0]));

    return archive_open_as(archive, archive_size, NULL, &err);
}


static void
test_traced(void)
{
    infer_graph_t  *g = traced(4);

    if (ok(g != NULL, "a traced archive: %s", g == NULL ? err.text : "")) {
        ok(g->input[0].port.rank == 2
           && g->input[0].port.dim[0] == INFER_BATCH
           && g->input[0].port.dim[1] == 4, "the shape that was traced");
        ok(g->summary.parameters == 4, "the example is no parameter");
    }

    infer_graph_close(g);

    g = traced(5);
    ok(g == NULL && strstr(err.text, "broadcast") != NULL, "another: %s",
       err.text);
    infer_graph_close(g);

    g = traced(100);
    ok(g == NULL && strstr(err.text, "beyond its storage") != NULL, "%s",
       err.text);
    infer_graph_close(g);
}


/* Each byte in turn becomes another, in three ways. */
static void
test_bytes(void)
{
    size_t                size = archive_size, dirty = 0, accepted = 0;
    unsigned char         kept, *data = malloc(size);
    infer_graph_t        *g;
    static const uint8_t  change[] = { 0x01, 0x80, 0xff };

    memcpy(data, archive, size);

    for (size_t i = 0; i < size; i++) {
        for (size_t k = 0; k < sizeof(change); k++) {
            kept = data[i];
            data[i] ^= change[k];
            g = archive_open(data, size, &err);
            accepted += g != NULL;
            dirty += !is_clean(g);
            data[i] = kept;
        }
    }

    ok(dirty == 0, "%zu bytes changed one at a time", size);
    ok(accepted < size, "most are noticed: %zu of %zu are not", accepted,
       size * sizeof(change));
    dirty = 0;

    for (size_t i = 0; i < size; i++) {
        g = archive_open(data, i, &err);
        dirty += g != NULL || !is_clean(g);
    }

    ok(dirty == 0, "an archive cut off anywhere");
    free(data);
}


/* The same for the texts themselves. */
static void
test_text(const char *what, const char *pickle, size_t pickle_size,
    const char *code, size_t code_size, char *text, size_t size)
{
    char            kept;
    size_t          dirty = 0;
    infer_graph_t  *g;

    static const char  with[] = "\n(9\xff";

    archive_model(pickle, pickle_size, archive_constants,
                  sizeof(archive_constants) - 1, code, code_size);
    g = archive_open(archive, archive_size, &err);
    ok(g != NULL, "%s%s%s", what, g == NULL ? ": " : "",
       g == NULL ? err.text : "");
    infer_graph_close(g);

    for (size_t i = 0; i < size; i++) {
        for (size_t k = 0; k < sizeof(with); k++) {
            kept = text[i];
            text[i] = with[k];
            archive_model(pickle, pickle_size, archive_constants,
                          sizeof(archive_constants) - 1, code, code_size);
            dirty += !is_clean(archive_open(archive, archive_size, &err));
            text[i] = kept;
        }
    }

    ok(dirty == 0, "%zu bytes of %s changed one at a time", size, what);
}


/* Code or a pickle that asks for too much is refused. */
static void
refused_code(const char *code, const char *why)
{
    infer_graph_t  *g;

    archive_model(archive_pickle, sizeof(archive_pickle) - 1,
                  archive_constants, sizeof(archive_constants) - 1,
                  code, strlen(code));
    g = archive_open(archive, archive_size, &err);
    ok(g == NULL && strstr(err.text, why) != NULL, "%s: %s", why, err.text);
    infer_graph_close(g);
}


#define FORWARD  "class M(Module):\n"                                         \
                 "  def forward(self: __torch__.M,\n"                         \
                 "    x: Tensor) -> Tensor:\n"


static void
test_limits(void)
{
    char           *text;
    size_t          n = 300000;
    struct rusage   used;

    refused_code(FORWARD "    return (self).forward(x, )\n",
                 "nested too deeply");
    refused_code(FORWARD "    while True:\n      pass\n    return x\n",
                 "runs for too long");
    refused_code(FORWARD "    y = [1]\n    while True:\n"
                 "      y = torch.add(y, y)\n    return x\n",
                 "too");
    refused_code(FORWARD "    s = \"a\"\n    while True:\n"
                 "      s = torch.add(s, s)\n    return x\n",
                 "a string is too long");
    refused_code(FORWARD "    y = x\n    while True:\n"
                 "      y = torch.add(y, 1)\n    return y\n",
                 "too");
    refused_code(FORWARD "    y = annotate(List[Tensor], [])\n"
                 "    torch.append(y, y)\n    return y\n",
                 "nested too deeply");

    refused_code(FORWARD "    q = torch.quantize_per_tensor(x, 0.5, 1, 13)\n"
                 "    return ops.quantized.linear(q)\n",
                 "not those of a layer");
    refused_code(FORWARD "    return torch.quantize_per_tensor(x, 0., 1, 13)\n",
                 "out of range");
    refused_code(FORWARD "    q = torch.quantize_per_tensor(x, 0.5, 1, 13)\n"
                 "    return torch.add(q, q)\n",
                 "torch.add of a quantized tensor");
    refused_code(FORWARD "    return torch.append([x])\n",
                 "torch.append of (list)");
    refused_code(FORWARD "    return torch.__contains__([x])\n",
                 "without a key");
    refused_code(FORWARD "    return torch._set_item({1: x}, 2)\n",
                 "torch._set_item of (dict, int)");
    refused_code(FORWARD "    return torch.einsum(\"ab,bc\", [x])\n",
                 "does not suit");
    refused_code(FORWARD "    return torch.einsum(\"aa->a\", [x])\n",
                 "different letters");

    /* operators that are made of others */
    refused_code(FORWARD "    return torch.pixel_shuffle(x, 0)\n", "is not 4 values");
    refused_code(FORWARD "    return torch.pixel_shuffle(x)\n",
                 "not given its argument upscale_factor");
    refused_code(FORWARD "    return torch._conv_phases(x, x, x, [], [], 0)\n",
                 "division by zero");
    refused_code(FORWARD "    return torch.conv_transpose2d(x, x, None, 0)\n",
                 "is outside of 0 items");
    refused_code(FORWARD "    return torch.topk(x, -1)\n", "no list of tensors");
    refused_code(FORWARD "    return torch.one_hot(x, 1048576)\n", "too large");
    refused_code(FORWARD "    return torch.eye(1048576)\n", "too large");
    refused_code(FORWARD "    return torch.linspace(0., 1., 1099511627776)\n",
                 "range");
    refused_code(FORWARD "    return torch.movedim(x, [0, 0], [1, 1])\n", "no such value");
    refused_code(FORWARD "    return torch.tile(x, [1099511627776, 2])\n", "too large");
    refused_code(FORWARD "    return torch.meshgrid([1])\n", "torch.numel of (int)");
    refused_code(FORWARD "    y = torch.unfold(x, 1, 1099511627776, 1)\n"
                 "    return y\n", "too many elements");
    refused_code(FORWARD "    with x:\n      pass\n    return x\n",
                 "with a Tensor");
    refused_code(FORWARD "    with self:\n      pass\n    return x\n",
                 "no method __enter__");
    refused_code(FORWARD "    return __torch__.N.__new__(__torch__.N)\n",
                 "not supported");
    refused_code(FORWARD "    if bool(torch.sum(x)):\n"
                 "      y = __torch__.M.__new__(__torch__.M)\n"
                 "    else:\n      y = 1\n    return y\n",
                 "y is no tensor");

    text = malloc(n + 200);
    strcpy(text, FORWARD "    return x");

    for (size_t at = strlen(text), i = 0; i < n / 2; i++, at += 2) {
        strcpy(text + at, ".a");
    }

    strcat(text, "\n");
    refused_code(text, "nested too deeply");

    strcpy(text, FORWARD "    return ");
    memset(text + strlen(FORWARD) + 11, '(', n);
    text[strlen(FORWARD) + 11 + n] = '\0';
    refused_code(text, "nested too deeply");
    free(text);

    getrusage(RUSAGE_SELF, &used);
    ok(used.ru_maxrss < 1 << 20, "at most %ld MB", used.ru_maxrss >> 10);
}


int
main(void)
{
    char  pickle[sizeof(archive_pickle)], code[sizeof(archive_code)];
    char  quantized_pickle[sizeof(archive_quantized_pickle)];
    char  quantized_code[sizeof(archive_quantized_code)];

    memcpy(pickle, archive_pickle, sizeof(pickle));
    memcpy(code, archive_code, sizeof(code));
    memcpy(quantized_pickle, archive_quantized_pickle,
           sizeof(quantized_pickle));
    memcpy(quantized_code, archive_quantized_code, sizeof(quantized_code));

    test_whole();
    test_traced();
    test_bytes();
    test_text("a pickle", pickle, sizeof(pickle) - 1, code, sizeof(code) - 1,
              pickle, sizeof(pickle) - 1);
    test_text("code", pickle, sizeof(pickle) - 1, code, sizeof(code) - 1,
              code, sizeof(code) - 1);
    test_text("a pickle of quantized tensors", quantized_pickle,
              sizeof(quantized_pickle) - 1, quantized_code,
              sizeof(quantized_code) - 1, quantized_pickle,
              sizeof(quantized_pickle) - 1);
    test_text("code of quantized operators", quantized_pickle,
              sizeof(quantized_pickle) - 1, quantized_code,
              sizeof(quantized_code) - 1, quantized_code,
              sizeof(quantized_code) - 1);
    test_limits();

    return done();
}
