# infer convert --quantize and infer compare: FashionNet calibrated on 500 of
# its training images is as good as it was, whatever the files are called; the
# decision to keep layers in float, or to refuse; the report.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Path qw(make_path);
use IO::Uncompress::Gunzip qw($GunzipError);
use JSON::PP;
use Test::More;

use Fixture::Cli;

my $onnx = 'conf/models/fashion.onnx';
my $set = '/usr/share/datasets/fashion-mnist';
my $test = "$set/t10k-images-idx3-ubyte.gz";
my @spec = ('--preprocess', 'resize=28 crop=28 mean=0.2860 std=0.3530');
my $slow = qr/\A(?:infer: warning: INT8 is not faster on this CPU: .*\n)?\z/;


# ---- helpers --------------------------------------------------------------

# Converts and returns (stdout, bytes of the file).
sub convert {
    my ($what, @args) = @_;
    my ($status, $out, $err) = infer('convert', $onnx, '-o', "$dir/out.infer",
                                     @spec, @args);

    is($status, 0, "$what: exit status 0");
    like($err, $slow, "$what: stderr has a warning at most");

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

# The first n images (or labels: 1 byte each) of a file of MNIST's format.
sub idx {
    my ($file, $n, $size) = @_;
    my $in = IO::Uncompress::Gunzip->new($file) or die $GunzipError;
    my $head = $size > 1 ? 16 : 8;

    read($in, my $bytes, $head + $n * $size) == $head + $n * $size
        or die "$file: short";
    substr($bytes, 4, 4) = pack 'N', $n;

    return $bytes;
}

# 28 x 28 gray pixels as a BMP file.
sub bmp {
    my ($pixels) = @_;
    my $rows = '';

    $rows = substr($pixels, 28 * $_, 28) . $rows for 0 .. 27;

    return 'BM' . pack('VvvV', 1078 + 784, 0, 0, 1078)
           . pack('VVVvvVVVVVV', 40, 28, 28, 1, 8, 0, 784, 0, 0, 256, 0)
           . join('', map { pack 'CCCC', $_, $_, $_, 0 } 0 .. 255) . $rows;
}


my $images = idx("$set/train-images-idx3-ubyte.gz", 500, 784);
my $calibrate = "$dir/train-images-idx3-ubyte";
spew($calibrate, $images);


# ---- static ---------------------------------------------------------------

my ($report, $static) = convert('static', '--quantize', 'static',
                                '--calibrate', $calibrate);
spew("$dir/int8.infer", $static);

like($report, qr/^calibration     500 images, histogram$/m, 'calibration');
like($report, qr/^INT8            100\.0 % of all/m, 'all of it is INT8');
like($report, qr{^ *1\.28 k +\d\d\.\d\d  qfc +/fc/Gemm$}m, 'layers are told');

my (undef, $float) = convert('float');
spew("$dir/float.infer", $float);
cmp_ok(length $static, '<=', 0.3 * length $float,
       sprintf 'the file is %.1f %% of the float one',
               100 * length($static) / length $float);

my $exact = accuracy("$dir/float.infer");
my $top1 = accuracy("$dir/int8.infer");
cmp_ok($exact - $top1, '<=', 0.3,
       sprintf '10,000 test images: %.2f %%, float %.2f %%', $top1, $exact);


# ---- the same bytes -------------------------------------------------------

my @same = ('--quantize', 'static', '--calibrate');

(undef, my $again) = convert('again', @same, $calibrate, '--threads', 1);
ok($again eq $static, 'again, on one thread: the same bytes');

make_path("$dir/a", "$dir/b/x", "$dir/b/y");

for my $i (0 .. 99) {
    my $bmp = bmp(substr $images, 16 + 784 * $i, 784);

    spew("$dir/a/$i.bmp", $bmp);
    spew(sprintf('%s/b/%s/%02d.bmp', $dir, $i % 3 ? 'x' : 'y', 99 - $i),
         $bmp);
}

(undef, my $a) = convert('a folder', @same, "$dir/a");
(undef, my $b) = convert('other names', @same, "$dir/b");
ok($a eq $b, 'files of other names, in other folders: the same bytes');
ok($a ne $static, 'other images: other bytes');

for my $observer (qw(minmax percentile entropy)) {
    (undef, my $other) = convert($observer, @same, "$dir/a", '--observer',
                                 $observer);
    ok($other ne $a, "$observer: other scales");
}


# ---- dynamic --------------------------------------------------------------

my (undef, $dynamic) = convert('dynamic', '--quantize', 'dynamic');
spew("$dir/dynamic.infer", $dynamic);
$top1 = accuracy("$dir/dynamic.infer");
cmp_ok(abs($exact - $top1), '<=', 0.1,
       sprintf 'dynamic: %.2f %%, float %.2f %%', $top1, $exact);


# ---- the decision ---------------------------------------------------------

make_path("$dir/data", "$dir/black");
spew("$dir/data/t-images-idx3-ubyte", idx($test, 400, 784));
spew("$dir/data/t-labels-idx1-ubyte",
     idx("$set/t10k-labels-idx1-ubyte.gz", 400, 1));
spew("$dir/black/$_.bmp", bmp(chr($_) x 784)) for 0 .. 1;

my @data = ('--data', "$dir/data/t-images-idx3-ubyte");

($report) = convert('data', @same, "$dir/a", @data, '--max-drop', 5);
like($report, qr/^top-1           \d\d\.\d\d %, float \d\d\.\d\d % \(400 /m,
     'top-1 on --data');
unlike($report, qr/layers? stays? float/, 'a drop of 5 points: none stays float');

# Entropy clips so much that some images change their class.
my @strict = (@same, "$dir/a", '--observer', 'entropy', '--max-drop', 0);

($report, $a) = convert('agreement', @strict);
like($report, qr/^same class      100\.00 %$/m, 'no image changes its class');
like($report, qr/, [1-9]\d* layers? stays? float$/m, 'at the price of layers');
(undef, $b) = convert('agreement', @strict);
ok($a eq $b, 'the decision: the same bytes');

# Calibrated on black images, all else is out of range.
refused('black images', 1, 'costs \d+\.\d\d points, and still \d+\.\d\d with '
        . '\d+ layers in float: --max-drop 0\.50 does not hold',
        @same, "$dir/black", @data, '--max-drop', 0.5);


# ---- wrong usage ----------------------------------------------------------

make_path("$dir/none", "$dir/broken");
spew("$dir/broken/x.png", 'no image');

refused('no images', 2, 'on which images', '--quantize', 'static');
refused('empty', 2, 'no images', @same, "$dir/none");
refused('no folder', 2, 'No such file', @same, "$dir/nowhere");
refused('a model', 2, 'neither a folder', @same, $onnx);
refused('broken', 2, 'x\.png', @same, "$dir/broken");
refused('mode', 2, 'neither static nor dynamic', '--quantize', 'some');
refused('observer', 2, 'none of minmax', @same, "$dir/a", '--observer', 'x');
refused('bound', 2, 'no number', @same, "$dir/a", '--max-drop', '1x');
refused('without', 2, 'are for --quantize', '--max-drop', 1);
refused('dynamic', 2, 'takes no --calibrate', '--quantize', 'dynamic',
        '--calibrate', "$dir/a");


# ---- compare --------------------------------------------------------------

my ($status, $out, $err) = infer('compare', $onnx, "$dir/int8.infer",
                                 "$dir/a", @spec);
is($status, 0, "compare $err");
like($out, qr/^images          100$/m, 'images');
unlike($out, qr/^top-1/m, 'without classes no top-1');

($status, $out, $err) = infer('compare', $onnx, $onnx, "$dir/a", @spec,
                              '--json');
my $json = decode_json($out);
is($status, 0, "compare --json $err");
is($json->{agreement}, 1, 'a model agrees with itself');
is($json->{sqnr}, 200, 'without noise');
cmp_ok($json->{cosine}, '==', 1, 'cosine 1');
is(scalar(grep { $_->{sqnr} != 200 } @{$json->{layers}}), 0,
   'nor is there noise in a layer');
cmp_ok(scalar @{$json->{layers}}, '>', 20, 'all layers are compared');

($status, $out, $err) = infer('compare', $onnx, "$dir/int8.infer",
                              "$dir/data/t-images-idx3-ubyte", @spec,
                              '--json', '--html', "$dir/report.html");
$json = decode_json($out);
is($status, 0, "compare --html $err");
is($json->{images}, 400, 'labelled images');
cmp_ok($json->{cosine}, '>', 0.999, "cosine $json->{cosine}");
cmp_ok($json->{models}[1]{top1}, '>', 0.9, 'top-1');
ok(!(grep { $_->{sqnr} < 20 || $_->{sqnr} > 80 } @{$json->{layers}}),
   'layers are near, not equal');

my $html = slurp("$dir/report.html");
is(() = $html =~ /<rect /g, scalar @{$json->{layers}}, 'a bar for each layer');
is(() = $html =~ /<circle /g, 2, 'a point for each model');
unlike($html, qr/http|<script|src=/, 'nothing from elsewhere');

($status, $out, $err) = infer('compare', $onnx, "$dir/a/0.bmp", "$dir/a");
is($status, 2, 'compare with what is no model');

done_testing();
