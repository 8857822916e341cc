/*
 * The ONNX importer: what is refused and with which words, how the batch goes
 * through shapes, what the graph is told, and the operator forms that ONNX's
 * own test data (`infer check`) does not have.
 */

#include "onnx.h"


/* ---- what is refused -------------------------------------------------- */

/* y = relu(x), the smallest model. */
static void
relu(int version)
{
    model(version);
    input("x", F32, "N,2");
    output("y");
    node("Relu", "x", "y");
}


static void
test_refused(void)
{
    pb_t  m;

    ok(import_bytes("\x89PNG\r\n\x1a\n", 8) == -1
       && strstr(err.text, "not an ONNX model") != NULL, "a PNG: %s",
       err.text);
    ok(import_bytes("", 0) == -1
       && strstr(err.text, "not an ONNX model") != NULL, "nothing");

    relu(13);
    ok(import_bytes(m.data, model_bytes(&m) - 1) == -1
       && strstr(err.text, "truncated") != NULL, "a model cut off: %s",
       err.text);

    relu(21);
    refused("opset 21 is not supported (7 to 20)", "opset 21");
    relu(20);
    ok(import_model() == 0 && g->summary.opset == 20, "opset 20");
    relu(0);
    refused("does not say which opset", "no opset");
    relu(13);
    ir_version = 2;
    refused("IR versions 1 and 2", "IR version 2");

    relu(13);
    node("NonZero", "y", "a");
    node("GridSample", "y,y", "b");
    node("NonZero", "y", "c");
    refused("2 operators of opset 13 not supported: GridSample (1), "
            "NonZero (2)", "unknown operators");
    relu(13);
    node("Gelu", "y", "z");
    refused("1 operator of opset 13 not supported: Gelu (1)",
            "an operator of a later opset");
}


static void
test_refused_names(void)
{
    const float  w[] = { 1, 2 };

    relu(13);
    node("Relu", "x", "y");
    refused("\"y\" is defined twice", "a name defined twice");
    relu(13);
    floats("y", "2", w, 2);
    refused("\"y\" is defined twice", "a result that is an initializer");

    model(13);
    input("x", F32, "2");
    output("z");
    node("Relu", "y", "z");
    node("Relu", "x", "y");
    refused("node \"z\" (Relu): operand \"y\" is used before",
            "nodes out of order");

    model(13);
    input("x", F32, "2");
    output("y");
    node("Relu", "missing", "y");
    refused("node \"y\" (Relu): operand \"missing\" is not defined",
            "an unknown operand");

    relu(13);
    output("nothing");
    refused("output \"nothing\" is not computed", "an unknown output");

    model(13);
    input("x", F32, "2");
    node("Relu", "x", "y");
    refused("has no output", "no outputs");

    model(13);
    input("x", F32, "2");
    output("y");
    node("Add", "x", "y");
    refused("has 1 operands, must have 2", "an operand too few");
    model(13);
    input("x", F32, "2");
    output("y");
    node("Add", "x,", "y");
    refused("operand 1 is missing", "an operand left out");

    model(13);
    input("x\n", F32, "2");
    output("y");
    node("Relu", "x\n", "y");
    refused("control characters", "a name with a line break");
}


static void
test_refused_operands(void)
{
    const float  w[] = { 1, 2 };

    model(13);
    input("x", STRING, "2");
    output("y");
    node("Identity", "x", "y");
    refused("input \"x\" is no tensor of a supported type", "strings");

    model(13);
    input("x", F32, "2");
    input("s", I64, "1");
    output("y");
    node("Reshape", "x,s", "y");
    refused("node \"y\" (Reshape): operand \"shape\" must be a constant",
            "a shape that is not constant");

    model(13);
    input("x", F32, "1,1,4,4");
    floats("w", "1,1,1,2", w, 2);
    output("y");
    attr_string("auto_pad", "SOMETIMES");
    node("Conv", "x,w", "y");
    refused("auto_pad \"SOMETIMES\" is not supported", "an unknown choice");

    model(13);
    input("x", F32, "1,1,4,4");
    floats("w", "1,1,1,2", w, 2);
    output("y");
    attr_int("strides", 1);
    node("Conv", "x,w", "y");
    refused("attribute \"strides\" has the wrong type", "an int for a list");

    model(13);
    input("x", F32, "1,1,4,4");
    floats("w", "1,1,1,2", w, 2);
    output("y");
    attr_ints("strides", "0,1");
    node("Conv", "x,w", "y");
    refused("attribute \"strides\" is out of range: 0", "a stride of 0");
}


static void
bn(const char *results, int training)
{
    const float  one[] = { 1, 1 };

    input("x", F32, "N,2,3");
    output("y");
    floats("w", "2", one, 2);

    if (training != -1) {
        attr_int("training_mode", training);
    }

    node("BatchNormalization", "x,w,w,w,w", results);
}


/* y = dropout(x), training_mode from a Constant node or an initializer. */
static void
dropout(int training, float ratio)
{
    pb_t     t;
    uint8_t  on = (uint8_t) training;

    model(13);
    input("x", F32, "N,2");
    output("y");
    tensor_head(&t, "mode", BOOL, "");
    put_bytes(&t, 9, &on, 1);
    put_message(&graph, 5, &t);
    floats("ratio", "", &ratio, 1);
    node("Dropout", "x,ratio,mode", "y,mask");
}


static void
test_training(void)
{
    model(13);
    bn("y", -1);
    ok(import_model() == 0, "batch normalisation for inference, opset 13");
    model(13);
    bn("y,m,v,sm,sv", -1);
    refused("node \"y\" (BatchNormalization) was exported in training mode: "
            "call model.eval() before torch.onnx.export",
            "batch normalisation with five results");
    model(13);
    bn("y,,,,", -1);
    ok(import_model() == 0, "batch normalisation with unnamed results");
    model(14);
    bn("y", 0);
    ok(import_model() == 0, "training_mode 0");
    model(14);
    bn("y", 1);
    refused("was exported in training mode", "training_mode 1");

    model(14);
    bn("y", 1);
    attr_int("training_mode", 1);
    node("BatchNormalization", "y,w,w,w,w", "z");
    attr_int("training_mode", 1);
    node("BatchNormalization", "z,w,w,w,w", "a");
    refused("node \"y\" (BatchNormalization) and 2 more were exported in "
            "training mode", "three of them");

    dropout(1, 0.5f);
    refused("node \"y\" (Dropout) was exported in training mode",
            "dropout in training mode");
    dropout(1, 0);
    ok(import_model() == 0, "dropout that drops nothing");
    dropout(0, 0.5f);
    shape_is("N,2", "dropout for inference");
}


/* ---- batch and shapes ------------------------------------------------- */

static void
test_batch(void)
{
    infer_input_shape_t  shape = { "x", 3, { 4, 5, 6 } };

    relu(13);
    shape_is("N,2", "a named batch");

    model(13);
    input("x", F32, "?,2");
    output("y");
    node("Relu", "x", "y");
    shape_is("N,2", "an unnamed batch");

    model(13);
    input("x", F32, "-1,2");
    output("y");
    node("Relu", "x", "y");
    shape_is("N,2", "a batch of -1");

    model(13);
    input("x", F32, "3,2");
    output("y");
    node("Relu", "x", "y");
    shape_is("3,2", "a fixed batch");

    model(13);
    input("a", F32, "N,3");
    input("b", F32, "3,N");
    output("y");
    attr_ints("perm", "1,0");
    node("Transpose", "b", "t");
    node("Add", "a,t", "y");
    shape_is("N,3", "the batch's name elsewhere");

    model(13);
    input("x", F32, "N,h,w");
    output("y");
    node("Relu", "x", "y");
    refused("dimension 1 (h) of input \"x\" is open: give its shape "
            "(--input-shape x=1x3x224x224)", "an open dimension");

    options.shapes = &shape;
    options.n_shapes = 1;
    shape_is("4,5,6", "with its shape given");
    shape.dim[0] = INFER_BATCH;
    shape_is("N,5,6", "with its shape given for any batch");
    shape.name = "";
    shape_is("N,5,6", "given for the only input");
    shape.name = "x";
    shape.dim[1] = INFER_BATCH;
    refused("dimension 1 of input \"x\" cannot be -1", "batch elsewhere");
    shape.rank = 2;
    refused("input \"x\" has 3 dimensions, not 2", "a shape of another rank");
    shape.name = "z";
    refused("no input has the name \"z\"", "a shape for no input");

    model(13);
    input("x", F32, NULL);
    output("y");
    node("Relu", "x", "y");
    refused("input \"x\" has no shape", "no shape");
    shape = (infer_input_shape_t) { "x", 1, { 7 } };
    options.shapes = &shape;
    options.n_shapes = 1;
    shape_is("7", "its shape given");

    model(13);
    input("x", F32, "2,3");
    options.shapes = &shape;
    options.n_shapes = 1;
    shape = (infer_input_shape_t) { "x", 2, { 2, 4 } };
    output("y");
    node("Relu", "x", "y");
    refused("dimension 1 of input \"x\" is 3, not 4", "a shape it has not");
}


/* Shapes that are computed from the batch: PyTorch's view(x.size(0), -1). */
static void
test_symbolic(void)
{
    model(13);
    input("x", F32, "N,3,4");
    output("y");
    ints("zero", "0");
    ints("axes", "0");
    ints("minus", "-1");
    node("Shape", "x", "shape");
    attr_int("axis", 0);
    node("Gather", "shape,zero", "n");
    attr_int("axis", 0);
    node("Concat", "n,minus", "target");
    node("Reshape", "x,target", "y");
    shape_is("N,12", "view(x.size(0), -1)");

    model(13);
    input("x", F32, "N,3,4");
    output("y");
    ints("target", "-1,4");
    node("Reshape", "x,target", "y");
    ok(import_model() == 0 && g->output[0].value->dim[0].batch == 3,
       "view(-1, 4): three rows for each of the batch");

    model(13);
    input("x", F32, "N,3,4");
    output("y");
    ints("target", "7,-1");
    node("Reshape", "x,target", "y");
    refused("cannot be shared out", "view(7, -1)");

    for (int i = 0; i < 2; i++) {
        model(13);
        input("x", F32, "N,3,4");
        output("y");
        ints("starts", "0");
        ints("ends", i == 0 ? "1" : "3");
        ints("axes", "0");
        node("Slice", "x,starts,ends,axes", "y");

        if (i == 0) {
            shape_is("1,3,4", "x[:1]");
        } else {
            refused("does not follow the batch size", "x[:3]");
        }
    }

    model(13);
    input("x", F32, "N,4,3");
    output("y");
    attr_int("axis", 1);
    node("Split", "x", "y,b");
    node("Size", "y", "size");
    shape_is("N,2,3", "two halves");

    model(13);
    input("x", F32, "N,3,8,8");
    output("y");
    node("GlobalAveragePool", "x", "y");
    shape_is("N,3,1,1", "global average pool");
    ok(g->input[0].nchw == 1 && infer_dim_is(g->input[0].value->dim[3], 3)
       && g->input[0].port.dim[1] == 3,
       "an image is channels-last in the graph, as declared in its port");
}


static void
test_known(void)
{
    int64_t               target[] = { 3, 2 };
    infer_named_tensor_t  known = { "s", { INFER_I64, 1, { 2 }, target } };

    model(13);
    input("x", F32, "2,3");
    input("s", I64, "2");
    output("y");
    node("Reshape", "x,s", "y");
    options.known = &known;
    options.n_known = 1;
    shape_is("3,2", "a shape known from outside");
    ok(g->n_inputs == 2, "it stays an input");

    known.tensor.dim[0] = 3;
    refused("must be a constant", "a known value of another shape");
    known.tensor.dim[0] = 2;
    known.tensor.dtype = INFER_I32;
    refused("must be a constant", "a known value of another type");
}


/* ---- what the graph is told ------------------------------------------- */

static void
test_summary(void)
{
    pb_t                    entry = { .len = 0 };
    const float             w[] = { 1, 2 };
    const infer_summary_t  *sum;

    relu(13);
    input("unused", F32, "2");
    floats("w", "2", w, 2);
    floats("idle", "2", w, 2);
    node("Add", "y,w", "z");
    node("Add", "z,w", "u");
    put_string(&entry, 1, "infer.labels");
    put_string(&entry, 2, "cat\r\ndog\n\nT-shirt");
    put_message(&metadata, 14, &entry);
    entry.len = 0;
    put_string(&entry, 1, "infer.preprocess");
    put_string(&entry, 2, "resize=28\ncolor=gray");
    put_message(&metadata, 14, &entry);

    if (!ok(import_model() == 0, "imported")) {
        return;
    }

    sum = &g->summary;
    ok(strcmp(sum->format, "onnx") == 0
       && strcmp(sum->producer, "test 1.0") == 0 && sum->opset == 13,
       "format, producer, opset");
    ok(sum->n_ops == 2 && strcmp(sum->ops[0].op, "Add") == 0
       && sum->ops[0].count == 2 && strcmp(sum->ops[1].op, "Relu") == 0
       && sum->ops[1].count == 1, "operators");
    ok(sum->parameters == 2, "weights that are used, once: %llu",
       (unsigned long long) sum->parameters);
    ok(sum->n_warnings == 1
       && strcmp(sum->warnings[0], "input \"unused\" is not used") == 0,
       "a warning for an input that nobody takes");
    ok(g->n_labels == 4 && strcmp(g->label[0], "cat") == 0
       && strcmp(g->label[1], "dog") == 0 && g->label[2][0] == '\0'
       && strcmp(g->label[3], "T-shirt") == 0, "labels");
    ok(strcmp(g->preprocess, "resize=28\ncolor=gray") == 0, "preprocessing");

    /* IR 3: every initializer is an input as well. */
    model(8);
    ir_version = 3;
    input("x", F32, "N,2");
    input("w", F32, "2");
    output("y");
    floats("w", "2", w, 2);
    node("Add", "x,w", "y");
    ok(import_model() == 0 && g->n_inputs == 1 && g->summary.parameters == 2,
       "an initializer among the inputs is a constant");
}


/* ---- forms of operators, on constants --------------------------------- */

static void
test_split_pad(void)
{
    const float  x[] = { 1, 2, 3, 4, 5, 6 };

    model(18);
    floats("x", "6", x, 6);
    output("a");
    output("b");
    attr_int("num_outputs", 2);
    node("Split", "x", "a,b");
    values_are(1, (double []) { 4, 5, 6 }, 3, "Split in two, opset 18");

    model(18);
    floats("x", "5", x, 5);
    output("a");
    output("b");
    attr_int("num_outputs", 2);
    node("Split", "x", "a,b");
    values_are(1, (double []) { 4, 5 }, 2, "the last part is smaller");

    model(13);
    floats("x", "5", x, 5);
    output("a");
    node("Split", "x", "a,b");
    refused("cannot be split into 2 equal parts", "not before opset 18");

    model(18);
    floats("x", "2,3", x, 6);
    ints("pads", "1,0");
    ints("axes", "-1");
    output("y");
    node("Pad", "x,pads,,axes", "y");
    values_are(0, (double []) { 0, 1, 2, 3, 0, 4, 5, 6 }, 8,
               "Pad with axes, opset 18");

    model(19);
    floats("x", "2,3", x, 6);
    ints("pads", "0,1,0,0");
    output("y");
    attr_string("mode", "wrap");
    node("Pad", "x,pads", "y");
    refused("mode \"wrap\" is not supported", "Pad that wraps");
}


static void
test_reductions(void)
{
    const float  x[] = { 1, 2, 3, 4, 5, 6 };

    model(18);
    floats("x", "2,3", x, 6);
    ints("axes", "1");
    output("y");
    attr_int("keepdims", 0);
    node("ReduceMean", "x,axes", "y");
    values_are(0, (double []) { 2, 5 }, 2, "ReduceMean over an operand");

    model(18);
    floats("x", "2,3", x, 6);
    output("y");
    attr_int("noop_with_empty_axes", 1);
    node("ReduceMax", "x", "y");
    values_are(0, (double []) { 1, 2, 3, 4, 5, 6 }, 6, "ReduceMax of nothing");

    model(13);
    floats("x", "2,3", x, 6);
    output("y");
    attr_ints("axes", "0");
    attr_int("keepdims", 1);
    node("ReduceMean", "x", "y");
    values_are(0, (double []) { 2.5, 3.5, 4.5 }, 3,
               "ReduceMean over an attribute");
}


static void
test_elementwise(void)
{
    const float  x[] = { 1, 2, 3, 4, 5, 6 };

    model(20);
    floats("x", "1", x, 1);
    output("y");
    attr_string("approximate", "tanh");
    node("Gelu", "x", "y");
    values_are(0, (double []) { 0.8411919906 }, 1, "Gelu by tanh");

    model(20);
    floats("x", "1", x, 1);
    output("y");
    node("Gelu", "x", "y");
    values_are(0, (double []) { 0.8413447461 }, 1, "Gelu");

    model(6);
    floats("x", "2,3", x, 6);
    floats("b", "2", x, 2);
    output("y");
    attr_int("broadcast", 1);
    attr_int("axis", 0);
    node("Add", "x,b", "y");
    values_are(0, (double []) { 2, 3, 4, 6, 7, 8 }, 6,
               "Add along an axis, opset 6");
}


static void
test_resize(void)
{
    const float  x[] = { 1, 2, 3, 4, 5, 6 };

    model(18);
    floats("x", "1,2,3", x, 6);
    ints("sizes", "6");
    output("y");
    attr_ints("axes", "-1");
    attr_string("mode", "nearest");
    node("Resize", "x,,,sizes", "y");
    values_are(0, (double []) { 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6 }, 12,
               "Resize of one axis, opset 18");

    model(18);
    floats("x", "2,3", x, 6);
    ints("sizes", "4,9");
    output("y");
    attr_string("keep_aspect_ratio_policy", "not_larger");
    node("Resize", "x,,,sizes", "y");
    shape_is("4,6", "Resize not larger than asked");

    model(18);
    floats("x", "2,3", x, 6);
    ints("sizes", "4,9");
    output("y");
    attr_string("keep_aspect_ratio_policy", "not_smaller");
    node("Resize", "x,,,sizes", "y");
    shape_is("6,9", "Resize not smaller than asked");
}


static void
test_products(void)
{
    pb_t          t;
    const float   w[] = { 1, 2, 3, 4, 5, 6 }, c[] = { 1, 2 };
    infer_node_t  *fc;

    model(13);
    input("x", F32, "N,3");
    floats("w", "2,3", w, 6);
    floats("c", "1,2", c, 2);
    output("y");
    attr_int("transB", 1);
    attr_float("beta", 3);
    attr_float("alpha", 2);
    node("Gemm", "x,w,c", "y");
    ok(import_model() == 0 && g->n_nodes == 1, "Gemm with constants is one "
       "node: %s", err.text);

    if (g->n_nodes == 1) {
        fc = g->node[0];
        ok(fc->param.fc.w_rows_are_n && fc->in[1]->data != NULL
           && ((const float *) fc->in[2]->data)[1] == 6
           && ((const float *) fc->in[3]->data)[0] == 2,
           "alpha is its scale, beta is in its bias");
    }

    model(13);
    input("x", F32, "N,4,3");
    floats("w", "3,2", w, 6);
    output("y");
    node("MatMul", "x,w", "y");
    shape_is("N,4,2", "MatMul with weights");

    model(13);
    input("x", F32, "N,4,3");
    output("y");
    attr_ints("perm", "0,2,1");
    node("Transpose", "x", "t");
    node("MatMul", "x,t", "y");
    shape_is("N,4,4", "MatMul of two activations");

    /* Weights lie where the file has them. */
    model(13);
    input("x", F32, "N,3");
    tensor_head(&t, "w", F32, "3,2");
    put_bytes(&t, 9, w, sizeof(w));
    put_message(&graph, 5, &t);
    output("y");
    node("MatMul", "x,w", "y");
    ok(import_model() == 0
       && (const unsigned char *) g->node[0]->in[1]->data > file
       && (const unsigned char *) g->node[0]->in[1]->data
          < file + g->map_size, "weights are used in place");
}


/* ---- damage ----------------------------------------------------------- */

/*
 * Every prefix of a model, and every byte changed: an error line or a graph,
 * under the sanitizers nothing else.
 */
static void
test_damage(void)
{
    int          good;
    pb_t         m, copy;
    size_t       len;
    const float  w[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

    model(13);
    input("x", F32, "N,1,6,6");
    floats("w", "1,1,3,3", w, 9);
    ints("shape", "0,-1");
    output("y");
    attr_ints("pads", "1,1,1,1");
    node("Conv", "x,w", "c");
    node("Relu", "c", "r");
    attr_ints("kernel_shape", "2,2");
    attr_ints("strides", "2,2");
    node("MaxPool", "r", "p");
    node("Reshape", "p,shape", "y");
    len = model_bytes(&m);

    ok(import_bytes(m.data, len) == 0, "the model itself: %s", err.text);
    good = 1;

    for (size_t i = 0; i < len; i++) {
        good &= import_bytes(m.data, i) == -1 && err.text[0] != '\0';
    }

    ok(good, "no prefix of it is a model");
    good = 1;

    for (size_t i = 0; i < len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            copy = m;
            copy.data[i] ^= (unsigned char) (1 << bit);
            good &= import_bytes(copy.data, len) == 0 || err.text[0] != '\0';
        }
    }

    ok(good, "a changed bit gives a graph or an error");
}


int
main(void)
{
    test_refused();
    test_refused_names();
    test_refused_operands();
    test_training();
    test_batch();
    test_symbolic();
    test_known();
    test_summary();
    test_split_pad();
    test_reductions();
    test_elementwise();
    test_resize();
    test_products();
    test_damage();
    drop();

    return done();
}
