# What the tests of `make test-models` share: running the infer command,
# reading .npy files, measuring how far two outputs lie apart.
#
# Directories come from the environment: BUILD (the Makefile's), with what
# t/models/run.sh puts under BUILD/models.

package ModelTest;

use strict;
use warnings;

use Exporter 'import';

use lib 't/lib';

use Fixture::Cli;

our @EXPORT = qw( $BUILD $MODELS infer infer_output npy_data
                  floats difference slurp );

our $BUILD = $ENV{BUILD} // 'build';
our $MODELS = "$BUILD/models";


# Runs a model on one input: the bytes of its first output.
sub infer_output {
    my ($model, $input, @options) = @_;

    my $output = "$dir/output";
    mkdir $output;
    unlink glob "$output/*";

    my ($status, undef, $err) = infer('run', $model, '--input',
                                      "input=$input", '--output-dir', $output,
                                      @options);
    die "infer run $model: exit status $status: $err" if $status ne '0';

    return npy_data("$output/logits.npy");
}


# The elements of a .npy file as bytes.
sub npy_data {
    my ($file) = @_;

    my $npy = slurp($file);
    my ($magic, $length) = unpack 'a8 v', $npy;

    die "$file: not a NumPy file of version 1.0\n"
        if $magic ne "\x93NUMPY\x01\x00";
    die "$file: not row-major float32\n"
        if $npy !~ /'descr': *'<f4'/ || $npy !~ /'fortran_order': *False/;

    return substr $npy, 10 + $length;
}


sub floats {
    my ($bytes) = @_;

    return unpack 'f<*', $bytes;
}


# The largest difference, and the largest reference value.  The difference is
# infinite where the lengths differ or something is not finite: a comparison
# with NaN is false, and must not pass for a small difference.
sub difference {
    my ($bytes, $reference) = @_;

    my $infinity = 9 ** 9 ** 9;
    my @x = floats($bytes);
    my @r = floats($reference);
    my ($difference, $largest) = (@x == @r ? 0 : $infinity, 0);

    for my $i (0 .. ($difference ? -1 : $#r)) {
        my $d = abs($x[$i] - $r[$i]);

        return ($infinity, $largest) unless $d < $infinity;
        $difference = $d if $d > $difference;
        $largest = abs $r[$i] if abs $r[$i] > $largest;
    }

    return ($difference, $largest);
}


1;
