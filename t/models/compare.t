# torchvision's classifiers against ONNX Runtime, and against themselves: the
# same bits for any batch size, number of threads and instruction set.

use strict;
use warnings;

use lib 't/models';

use JSON::PP;
use List::Util qw(sum);
use ModelTest;
use Test::More;

# Of the largest |output|.
my $TOLERANCE = 1e-4;

# Parameters (millions) and multiply-accumulates (billions) as torchvision's
# documentation gives them, the auxiliary classifiers of the two Inceptions
# left out.
my @MODELS = (
    [ squeezenet1_1      => 224,   1.24,  0.35 ],
    [ mobilenet_v2       => 224,   3.50,  0.30 ],
    [ mobilenet_v3_small => 224,   2.54,  0.057 ],
    [ shufflenet_v2_x1_0 => 224,   2.28,  0.145 ],
    [ efficientnet_b0    => 224,   5.29,  0.386 ],
    [ resnet18           => 224,  11.69,  1.81 ],
    [ resnet18_unfolded  => 224,  11.69,  1.81 ],
    [ resnet18_bn        => 224,  11.69,  1.81 ],
    [ resnet50           => 224,  25.56,  4.09 ],
    [ densenet121        => 224,   7.98,  2.83 ],
    [ googlenet          => 224,   6.62,  1.50 ],
    [ inception_v3       => 299,  23.83,  5.71 ],
    [ vgg16              => 224, 138.36, 15.47 ],
    [ vit_b_16           => 224,  86.57, 17.56 ],
);


sub near {
    my ($x, $expected, $what) = @_;

    cmp_ok(abs($x / $expected - 1), '<', 0.02, "$what: $x");
}


sub inspect {
    my ($name, $size, $parameters, $macs) = @_;

    my ($status, $out, $err) = infer('inspect', "$MODELS/$name.onnx",
                                     '--json');
    is($status, 0, "inspect $err") or return;

    my $json = decode_json($out);

    is_deeply($json->{inputs}, [ { name => 'input', dtype => 'float32',
                                   shape => [ -1, 3, $size, $size ] } ],
              'inputs');
    is_deeply($json->{outputs}, [ { name => 'logits', dtype => 'float32',
                                    shape => [ -1, 1000 ] } ],
              'outputs');
    near($json->{parameters} / 1e6, $parameters, 'parameters (M)');
    near($json->{macs} / 1e9, $macs, 'MACs (G)');
}


sub reference {
    my ($name, $input, $bytes) = @_;

    my ($difference, $largest) =
        difference($bytes, npy_data("$MODELS/reference/$name/$input"));

    cmp_ok($difference, '<', $TOLERANCE * $largest,
           sprintf '%s %s: differs from ONNX Runtime by %.1e of %.2f', $name,
                   $input, $difference / ($largest || 1), $largest);
}


my $isa = instruction_set();


# Everything about one model but what inspect says; dies where it cannot run.
sub run_model {
    my ($name, $size) = @_;

    my $model = "$MODELS/$name.onnx";
    my $input = "$MODELS/input/$size";
    my $five = infer_output($model, "${input}_5.npy");
    my @one = map { infer_output($model, "${input}_$_.npy") } 0 .. 4;

    reference($name, "${size}_5.npy", $five);
    reference($name, "${size}_0.npy", $one[0]);
    ok($five eq join('', @one), 'a batch of 5 equals 5 single runs');
    ok($five eq infer_output($model, "${input}_5.npy", '--threads', 2),
       'two threads equal one');

    SKIP: {
        skip 'this CPU has the portable kernels only', 1 if $isa eq 'scalar';

        for my $other (grep { $_ ne $isa } qw(scalar avx2)) {
            local $ENV{INFER_ISA} = $other;
            ok($one[0] eq infer_output($model, "${input}_0.npy",
                                       '--threads', 2),
               "$other gives the bits of $isa");
        }
    }
}


# The instruction set that the command takes by itself.
sub instruction_set {
    my ($status, $out, $err) = infer('bench', "$MODELS/squeezenet1_1.onnx",
                                     '--runs', 1, '--json');
    die $err if $status ne '0';

    return decode_json($out)->{isa};
}


for (@MODELS) {
    my ($name, $size, @known) = @$_;

    subtest $name => sub {
        inspect($name, $size, @known);
        eval { run_model($name, $size); 1 } or fail($@);
    };
}


# All the way from a file: PIL, torchvision's transform and ONNX Runtime.
subtest 'a photograph' => sub {
    my ($status, $out, $err) = infer('run', "$MODELS/resnet18.onnx",
                                     "$MODELS/input/photo.png", '--top', 5,
                                     '--json');
    is($status, 0, "run $err") or return;

    my @e = map { exp } floats(npy_data(
        "$MODELS/reference/resnet18/photo_224.npy"));
    my @order = (sort { $e[$b] <=> $e[$a] } 0 .. $#e)[0 .. 4];
    my $top = decode_json($out)->[0]{top};

    is_deeply([ map { $_->{class} } @$top ], \@order, "classes @order");

    for (@$top) {
        my $expected = $e[$_->{class}] / sum(@e);

        cmp_ok(abs($_->{probability} / $expected - 1), '<', 1e-4,
               "probability $_->{probability}");
    }
};


subtest 'a fixed batch' => sub {
    my $model = "$MODELS/resnet18_fixed.onnx";

    reference('resnet18_fixed', '224_0.npy',
              infer_output($model, "$MODELS/input/224_0.npy"));

    ok(!eval { infer_output($model, "$MODELS/input/224_5.npy") },
       'another batch size is refused');
    like($@, qr/exit status 2: infer: .*224.*\n\z/, "in one line: $@");
};


subtest 'training mode' => sub {
    my %node = (
        resnet18_training      => '/bn1/BatchNormalization',
        squeezenet1_1_training => '/classifier/classifier.0/Dropout',
    );

    for my $name (sort keys %node) {
        my ($status, undef, $err) = infer('inspect', "$MODELS/$name.onnx");

        is($status, 2, "$name is refused");
        like($err, qr/^infer: .*\Q$node{$name}\E.*model\.eval\(\).*\n\z/,
             "with node and remedy: $err");
    }
};


done_testing();
