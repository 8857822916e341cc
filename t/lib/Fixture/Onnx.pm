package Fixture::Onnx;

# Writes small ONNX files: the models that tests need and no one ships, good
# and bad.  Protocol buffers are only tags, varints and lengths; the field
# numbers are those of onnx.proto3 (https://github.com/onnx/onnx).

use strict;
use warnings;


sub _varint {
    my ($n) = @_;
    my $out = '';

    while ($n > 127) {
        $out .= chr($n & 127 | 128);
        $n >>= 7;
    }

    return $out . chr $n;
}

sub _int   { return _varint($_[0] << 3) . _varint($_[1]) }
sub _bytes { return _varint($_[0] << 3 | 2) . _varint(length $_[1]) . $_[1] }
sub _float { return _varint($_[0] << 3 | 5) . pack 'f<', $_[1] }


# An attribute from a Perl value: [ints], a number with a point (float), an
# integer, or a string.
sub _attribute {
    my ($name, $value) = @_;
    my $out = _bytes(1, $name);

    if (ref $value) {
        $out .= join('', map { _int(8, $_) } @$value) . _int(20, 7);

    } elsif ($value =~ /^-?\d+\.\d+$/) {
        $out .= _float(2, $value) . _int(20, 1);

    } elsif ($value =~ /^\d+$/) {
        $out .= _int(3, $value) . _int(20, 2);

    } else {
        $out .= _bytes(4, $value) . _int(20, 3);
    }

    return $out;
}


# A node: operator, inputs, outputs, attributes.  Its name is that of its
# first output with "node_" before it.
sub node {
    my ($op, $inputs, $outputs, %attr) = @_;

    return join '', (map { _bytes(1, $_) } @$inputs),
                    (map { _bytes(2, $_) } @$outputs),
                    _bytes(3, "node_$outputs->[0]"), _bytes(4, $op),
                    (map { _bytes(5, _attribute($_, $attr{$_})) }
                     sort keys %attr);
}


# An initializer of floats.  $values may be packed already.
sub floats {
    my ($name, $dims, $values) = @_;

    return join '', (map { _int(1, $_) } @$dims), _int(2, 1),
                    _bytes(8, $name),
                    _bytes(9, ref $values ? pack('f<*', @$values) : $values);
}


# The same of 64-bit integers.
sub longs {
    my ($name, $dims, $values) = @_;

    return join '', (map { _int(1, $_) } @$dims), _int(2, 7),
                    _bytes(8, $name), _bytes(9, pack 'q<*', @$values);
}


# An input or output: a dimension that is no number is a name.
sub _value {
    my ($name, $type, @dims) = @_;
    my $shape = join '', map { _bytes(1, /^\d+$/ ? _int(1, $_)
                                                 : _bytes(2, $_)) } @dims;

    return _bytes(1, $name)
           . _bytes(2, _bytes(1, _int(1, $type) . _bytes(2, $shape)));
}


# A model: nodes => [..], initializers => [..], input => [dims],
# output => [dims], input_type (1: float), opset (17); or inputs and outputs,
# each [name, type, dims...].
sub model {
    my (%m) = @_;
    my $graph = join '', (map { _bytes(1, $_) } @{ $m{nodes} }),
                _bytes(2, 'test'),
                (map { _bytes(5, $_) } @{ $m{initializers} // [] }),
                (map { _bytes(11, _value(@$_)) }
                 @{ $m{inputs}
                    // [['x', $m{input_type} // 1, @{ $m{input} }]] }),
                (map { _bytes(12, _value(@$_)) }
                 @{ $m{outputs} // [['y', 1, @{ $m{output} }]] });

    return _int(1, 8) . _bytes(2, 'ngx_infer tests') . _bytes(7, $graph)
           . _bytes(8, _bytes(1, '') . _int(2, $m{opset} // 17));
}


# A linear classifier of $channels x $side x $side inputs: weights is a
# function (class, channel, row, column), bias a list of one number a class.
sub linear {
    my ($channels, $side, $weight, @bias) = @_;
    my @w;

    for my $class (0 .. $#bias) {
        for my $i (0 .. $channels * $side * $side - 1) {
            my $column = $i % $side;
            my $row = int($i / $side) % $side;
            my $channel = int $i / ($side * $side);
            push @w, $weight->($class, $channel, $row, $column);
        }
    }

    return model(
        nodes => [node('Flatten', ['x'], ['flat'], axis => 1),
                  node('Gemm', [qw(flat w b)], ['y'], transB => 1)],
        initializers => [
            floats('w', [scalar @bias, $channels * $side * $side], \@w),
            floats('b', [scalar @bias], \@bias)],
        input  => ['N', $channels, $side, $side],
        output => ['N', scalar @bias]);
}


# Answers the same for every 28x28 gray image: these scores.
sub constant {
    my (@scores) = @_;

    return linear(1, 28, sub { 0 }, @scores);
}


# Three classes: the mean of each of three channels, times 10.
sub channel_means {
    my ($side) = @_;

    return linear(3, $side,
                  sub { $_[0] == $_[1] ? 10 / ($side * $side) : 0 }, 0, 0, 0);
}


# Fully connected layers of these sizes, the first that of the input, with Relu
# between them.  Weights are a few thousand small numbers over and over.
sub mlp {
    my (@size) = @_;
    my (@nodes, @weights);
    my $seed = 1;
    my $some = pack 'f<*', map {
        $seed = ($seed * 1103515245 + 12345) & 0x7fffffff;
        ($seed / 0x7fffffff - 0.5) / sqrt $size[0];
    } 1 .. 4099;

    for my $i (1 .. $#size) {
        my $n = $size[$i - 1] * $size[$i];
        my $last = $i == $#size;

        push @weights, floats("w$i", [$size[$i], $size[$i - 1]],
                              substr $some x (1 + $n / 4099), 0, 4 * $n);
        push @nodes, node('Gemm', [$i > 1 ? 'h' . ($i - 1) : 'x', "w$i"],
                          [$last ? 'y' : "g$i"], transB => 1);
        push @nodes, node('Relu', ["g$i"], ["h$i"]) if !$last;
    }

    return model(nodes => \@nodes, initializers => \@weights,
                 input => ['N', $size[0]], output => ['N', $size[-1]]);
}


# A model that takes long: $depth convolutions of 64 channels at 56 x 56, all
# with the same weights, for 3x112x112 inputs and 10 classes; 116 million
# multiply-adds each.  The weights are small and the bias is not, so that
# values neither grow nor fade into denormal numbers, however deep it is.
sub slow {
    my ($depth) = @_;
    my @nodes = (node('Conv', [qw(x first)], ['h0'],
                      kernel_shape => [3, 3], pads => [1, 1, 1, 1],
                      strides => [2, 2]));

    my $seed = 1;
    my $random = sub {
        $seed = ($seed * 1103515245 + 12345) & 0x7fffffff;
        return ($seed / 0x7fffffff - 0.5) * 0.1;
    };

    for my $i (1 .. $depth) {
        push @nodes, node('Conv', ['h' . ($i - 1), 'w', 'bias'], ["c$i"],
                          kernel_shape => [3, 3], pads => [1, 1, 1, 1]),
                     node('Relu', ["c$i"], ["h$i"]);
    }

    push @nodes, node('GlobalAveragePool', ["h$depth"], ['mean']),
                 node('Flatten', ['mean'], ['flat'], axis => 1),
                 node('Gemm', [qw(flat last)], ['y']);

    return model(
        nodes => \@nodes,
        initializers => [
            floats('first', [64, 3, 3, 3], [map { $random->() } 1 .. 1728]),
            floats('w', [64, 64, 3, 3], [map { $random->() } 1 .. 36864]),
            floats('bias', [64], [(1) x 64]),
            floats('last', [64, 10], [map { $random->() } 1 .. 640])],
        input => ['N', 3, 112, 112], output => ['N', 10]);
}


1;
