# infer convert --prune on FashionNet: what is left out, what that costs on the
# test images, and what is refused.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use JSON::PP;
use Test::More;

use Fixture::Cli;

my $onnx = 'conf/models/fashion.onnx';
my $set = '/usr/share/datasets/fashion-mnist';
my $test = "$set/t10k-images-idx3-ubyte.gz";
my @spec = ('--preprocess', 'resize=28 crop=28 mean=0.2860 std=0.3530');


# ---- helpers --------------------------------------------------------------

# Converts and returns (stdout, bytes of the file).
sub convert {
    my ($what, @args) = @_;
    my ($status, $out, $err) = infer('convert', $onnx, '-o', "$dir/out.infer",
                                     @spec, @args);

    is($status, 0, "$what: exit status 0");
    is($err, '', "$what: nothing on stderr");

    return ($out, slurp("$dir/out.infer"));
}

sub refused {
    my ($what, $expected, $reason, @args) = @_;
    my ($status, $out, $err) = infer('convert', $onnx, '-o', "$dir/no.infer",
                                     @spec, @args);

    is($status, $expected, "$what: exit status $expected");
    like($err, qr/\Ainfer: [^\n]*$reason[^\n]*\n\z/, "$what: one line");
    ok(!-e "$dir/no.infer" && !-e "$dir/no.infer.part",
       "$what: nothing is written");
}

sub accuracy {
    my ($file) = @_;
    my ($status, $out) = infer('eval', $file, $test, '--json');

    is($status, 0, "eval $file");

    return 100 * decode_json($out)->{top1};
}


sub is_near {
    my ($got, $expected, $what) = @_;

    ok(abs($got - $expected) < 0.006, "$what: $got")
        or diag("expected $expected");
}

# The figures of a line of the report: (after, before).
sub figures {
    my ($out, $line) = @_;

    return $out =~ /^$line +([\d.]+)(?: ?\S*)?,? .*?before ([\d.]+)/m;
}

my (undef, $dense) = convert('dense');
my $plain = accuracy("$dir/out.infer");


# ---- unstructured ---------------------------------------------------------

{
    my ($out, $bytes) = convert('unstructured', '--prune', '0.3',
                                '--prune-kind', 'unstructured', '--data',
                                $test);
    my ($after, $before) = figures($out, 'top-1');

    like($out, qr/unstructured: zeros, neither faster nor smaller/,
         'unstructured: said honestly');
    is_near($before, $plain, 'unstructured: top-1 before');
    is_near($after, accuracy("$dir/out.infer"), 'unstructured: top-1 after');
    ok($after > $plain - 10, 'unstructured: 30 % cost little');

    my ($again, $same) = convert('unstructured again', '--prune', '0.3',
                                 '--prune-kind', 'unstructured', '--data',
                                 $test);
    ok($bytes eq $same, 'unstructured: the same command, the same bytes');
}


# ---- blocks ---------------------------------------------------------------

{
    my ($out, $bytes) = convert('block', '--prune', '0.8', '--prune-kind',
                                'block', '--data', $test);
    my ($after, $before) = figures($out, 'top-1');

    is_near($before, $plain, 'block: top-1 before');
    is_near($after, accuracy("$dir/out.infer"), 'block: top-1 after');
    ok($after < $plain - 1, 'block: it costs');
    cmp_ok(length $bytes, '<', 0.5 * length $dense, 'block: a smaller file');
}


# ---- channels -------------------------------------------------------------

{
    my ($out, $bytes) = convert('channels', '--prune', '0.25', '--data',
                                $test);
    my ($after, $before) = figures($out, 'top-1');
    my ($macs, $all) = figures($out, 'MACs');

    is_near($before, $plain, 'channels: top-1 before');
    is_near($after, accuracy("$dir/out.infer"), 'channels: top-1 after');
    cmp_ok($macs, '<', 0.8 * $all, 'channels: less work');
    cmp_ok(length $bytes, '<', 0.8 * length $dense, 'channels: a smaller file');

    my ($status, $json) = infer('inspect', "$dir/out.infer", '--json');
    my $model = decode_json($json);

    is_deeply($model->{inputs}[0]{shape}, [-1, 1, 28, 28],
              'channels: the input is what it was');
    is_deeply($model->{outputs}[0]{shape}, [-1, 10],
              'channels: the output is what it was');
}


# ---- refused --------------------------------------------------------------

refused('nothing', 2, 'no number between 0 and 1', '--prune', '0');
refused('all', 2, 'no number between 0 and 1', '--prune', '1');
refused('no number', 2, 'no number between 0 and 1', '--prune', 'half');
refused('kind', 2, 'none of channels, block, unstructured', '--prune', '0.5',
        '--prune-kind', 'filters');
refused('kind alone', 2, '--prune-kind is for --prune', '--prune-kind',
        'block');

done_testing();
