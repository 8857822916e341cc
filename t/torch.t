# Quantized TorchScript archives: small ones of PyTorch, with what it makes of
# an input (t/data/torch/make.py), run on integer operators, with the same bits
# on every instruction set.  Whole networks are compared in t/models.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $infer = abs_path($ENV{INFER} // 'build/infer');
-x $infer or die "$infer: not there: build it first (make cli)\n";

my $dir = tempdir(CLEANUP => 1);
my $data = 't/data/torch';


sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!";
    local $/;
    return scalar(<$in>) // '';
}

# The floats of an .npy file.
sub floats {
    my $bytes = slurp(@_);
    my (undef, $len) = unpack 'a8v', $bytes;

    return unpack 'f<*', substr($bytes, 10 + $len);
}

# What infer prints as JSON.
sub told {
    my $text = qx(@_);

    is($?, 0, "@_[1 .. 2]: exit status 0");

    return decode_json($text);
}

# The bytes of the output's file.
sub output {
    my ($isa, $model, $shape, $x) = @_;

    local $ENV{INFER_ISA} = $isa if $isa ne '';
    unlink "$dir/output.npy";
    $shape = "--input-shape $shape" if $shape ne '';
    system("$infer run $model $shape --input $x --output-dir $dir "
           . "> $dir/told") == 0 or return '';

    return slurp("$dir/output.npy");
}


my @convolutions = qw(quantize qconv qconv qbinary pool table qpool qfc
                      dequantize);

for (['static', 'static', 'Nx1x12x12', @convolutions],
     ['frozen', 'static', 'Nx1x12x12', @convolutions],
     ['dynamic', 'dynamic', 'Nx12', qw(dynamic_quantize qfc dynamic_quantize
                                       qfc)])
{
    my ($name, $values, $shape, @ops) = @$_;
    my $model = "$data/$name.pt";

    my $graph = told($infer, 'inspect', $model, '--input-shape', $shape,
                     '--json');
    my $x = "$graph->{inputs}[0]{name}=$data/$values.x.npy";

    my $run = told($infer, 'bench', $model, '--input-shape', $shape,
                   '--json --runs 1 --per-op');
    is_deeply([grep { $_ ne 'reshape' } map { $_->{op} } @{$run->{per_op}}],
              \@ops, "$name: integer operators");

    my $bytes = output('', $model, $shape, $x);
    my @got = floats("$dir/output.npy");
    my @want = floats("$data/$values.y.npy");

    is(scalar @got, scalar @want, "$name: " . @want . " results");
    ok(!(grep { abs($got[$_] - $want[$_]) > 1e-6 } 0 .. $#want),
       "$name: PyTorch's: @got");
    is(output($_, $model, $shape, $x), $bytes, "$name: the same bits, $_")
        for qw(scalar avx2);

    system("$infer convert $model --input-shape $shape -o $dir/m.infer "
           . "> $dir/told") == 0 or fail("$name: convert");
    is(output('', "$dir/m.infer", '', $x), $bytes,
       "$name: the same bits, as an .infer file");
}

# Operators that are made of others, in a scripted archive: a batch of three.
my $x = "x=$data/composed.x.npy";
my $bytes = output('', "$data/composed.pt", 'Nx3x8x8', $x);
my @got = floats("$dir/output.npy");
my @want = floats("$data/composed.y.npy");

is(scalar @got, 3 * (3 + 3 + 16 + 16), 'composed: results');
ok(!(grep { abs($got[$_] - $want[$_]) > 1e-6 } 0 .. $#want),
   'composed: PyTorch\'s');
is(output($_, "$data/composed.pt", 'Nx3x8x8', $x), $bytes,
   "composed: the same bits, $_")
    for qw(scalar avx2);


my $inspected = told($infer, 'inspect', "$data/frozen.pt", '--input-shape',
                     'Nx1x12x12', '--json');
is($inspected->{operators}{'quantized::conv2d_relu'}, 1,
   'operators are counted by their names');
ok(!exists $inspected->{operators}{'aten::conv2d'}, 'and once');

done_testing();
