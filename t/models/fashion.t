# FashionNet over the 10,000 test images of dataset-fashion-mnist: the
# accuracy, the classes and the logits that PyTorch had when it was trained.

use strict;
use warnings;

use lib 't/models';

use JSON::PP;
use ModelTest;
use Test::More;

my $FASHION = '../shared/models/fashion';
my $IMAGES = '/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz';
my $N = 10_000;
my $CLASSES = 10;

# As it was trained; the files themselves do not say.
my $PREPROCESS = 'resize=28 crop=28 color=gray mean=0.286 std=0.353';

plan skip_all => "$FASHION is not here" unless -d $FASHION;

my $reference = slurp("$FASHION/test_logits_f32_10000x10.bin");
my $expected = decode_json(slurp("$FASHION/eval.json"));
my @reference = classes($reference);


# The class of each row of logits.
sub classes {
    my ($bytes) = @_;
    my @x = floats($bytes);

    return map {
        my $row = $_ * $CLASSES;
        my $best = 0;

        for my $c (1 .. $CLASSES - 1) {
            $best = $c if $x[$row + $c] > $x[$row + $best];
        }

        $best;
    } 0 .. @x / $CLASSES - 1;
}


for my $name (qw(fashion_op13.onnx fashion_op13_bn.onnx fashion_op17.onnx
                 fashion_traced.pt fashion_scripted.pt
                 fashion_traced_frozen.pt))
{
    subtest $name => sub {
        my $file = "$MODELS/$name.npy";
        my @shape = $name =~ /\.pt$/ ? ('--input-shape', 'Nx1x28x28') : ();
        my ($status, $out, $err) = infer('eval', "$FASHION/$name", $IMAGES,
                                         '--preprocess', $PREPROCESS, @shape,
                                         '--logits', $file, '--json');
        is($status, 0, "eval $err") or return;

        # eval.json has single precision: 0.9253000020980835.
        my $json = decode_json($out);
        is($json->{images}, $N, 'images');
        is($json->{$_}, sprintf('%.4f', $expected->{$_}), "$_ $json->{$_}")
            for qw(top1 top5);

        my $logits = npy_data($file);
        my @classes = classes($logits);
        my $differ = grep { $classes[$_] != $reference[$_] } 0 .. $N - 1;
        is(scalar @classes, $N, 'a row of logits for each image');
        is($differ, 0, 'every class is that of PyTorch');

        my ($difference, $largest) = difference($logits, $reference);
        cmp_ok($difference, '<=', 1e-4,
               sprintf 'logits of up to %.1f differ by %.1e', $largest,
                       $difference);
    };
}


done_testing();
