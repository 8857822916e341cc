# What loading costs: memory holds the weights once, packed, while the file is
# read; of the file no more than a part is there at any time.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use JSON::PP;
use Test::More;

use Fixture::Cli;
use Fixture::Onnx;

plan skip_all => 'a sanitizer has memory of its own' if $ENV{ASAN_OPTIONS};

use constant { WIDTH => 1024, LAYERS => 12 };

# Layers of 4 MB, their weights in the order of outputs, or of inputs.
sub layers {
    my ($trans) = @_;
    my $row = join '', map { pack 'f<', $_ / WIDTH - 0.4 } 1 .. WIDTH;
    my (@nodes, @weights);

    for my $i (1 .. LAYERS) {
        push @nodes, Fixture::Onnx::node('Gemm', ['h' . ($i - 1), "w$i"],
                                         ["h$i"], transB => $trans);
        push @weights, Fixture::Onnx::floats("w$i", [WIDTH, WIDTH],
                                             $row x WIDTH);
    }

    return Fixture::Onnx::model(
        nodes => \@nodes, initializers => \@weights,
        inputs => [['h0', 1, 'N', WIDTH]],
        outputs => [['h' . LAYERS, 1, 'N', WIDTH]]);
}

# Bytes that a command has at most which loads $file and runs it.
sub peak {
    my ($file) = @_;
    my ($status, $out) = infer('bench', $file, qw(--runs 1 --warmup 0 --json));

    is($status, 0, 'runs');

    return decode_json($out)->{peak_rss_mb} * 1024 * 1024;
}

# Of a model without weights to speak of: code and libraries.
my $least = peak(spew("$dir/small.onnx", Fixture::Onnx::constant(1, 2)));

for my $trans (0, 1) {
    my $file = spew("$dir/layers.onnx", layers($trans));

    cmp_ok(peak($file) - $least, '<', 1.15 * -s $file,
           "transB $trans: the weights, and little more");
}

done_testing();
