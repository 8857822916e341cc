# infer baseline, infer drift, and the baseline that infer convert writes: the
# same images give the same bytes in any order; what has changed is told, what
# has not is not; an INT8 model calibrated on one class saturates.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use JSON::PP;
use Test::More;

my $infer = abs_path($ENV{INFER} // 'build/infer');
-x $infer or die "$infer: not there: build it first (make cli)\n";

my $dir = tempdir(CLEANUP => 1);
my $onnx = 'conf/models/fashion.onnx';
my $set = '/usr/share/datasets/fashion-mnist';
my @spec = ('--preprocess', 'resize=28 crop=28 mean=0.2860 std=0.3530');


# ---- helpers --------------------------------------------------------------

sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!";
    local $/;
    return scalar(<$in>) // '';
}

sub spew {
    my ($file, $bytes) = @_;

    open my $out, '>:raw', $file or die "$file: $!";
    print $out $bytes;
    close $out or die "$file: $!";
}

# Runs infer: (exit status, stdout, stderr).
sub infer {
    my (@args) = @_;
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/stdout" or die;
        open STDERR, '>', "$dir/stderr" or die;
        exec $infer, @args or exit 127;
    }

    waitpid $pid, 0;
    my $status = $? & 127 ? "signal " . ($? & 127) : $? >> 8;

    return ($status, slurp("$dir/stdout"), slurp("$dir/stderr"));
}

sub good_json {
    my ($what, $expected, @args) = @_;
    my ($status, $out, $err) = infer(@args, '--json');

    is("$status $err", "$expected ", $what);

    return JSON::PP->new->utf8->decode($out);
}

sub refused {
    my ($what, $reason, @args) = @_;
    my ($status, $out, $err) = infer(@args);

    is($status, 2, "$what: exit status 2");
    like($err, qr/\Ainfer: [^\n]*$reason[^\n]*\n\z/, "$what: one line");
}

sub score {
    my ($drift, $name, $measure) = @_;

    return (grep { $_->{name} eq $name && $_->{measure} eq $measure }
            @{$drift->{scores}})[0];
}

# Images and labels of MNIST's format, those of @wanted in that order.
sub subset {
    my ($name, $images, $labels, @wanted) = @_;

    spew("$dir/$name-images-idx3-ubyte",
         pack('N4', 2051, scalar(@wanted), 28, 28)
         . join('', map { substr $$images, 16 + 784 * $_, 784 } @wanted));
    spew("$dir/$name-labels-idx1-ubyte",
         pack('N2', 2049, scalar(@wanted))
         . join('', map { substr $$labels, 8 + $_, 1 } @wanted));

    return "$dir/$name-images-idx3-ubyte";
}

my (%images, %labels);

for my $part (qw(train t10k)) {
    gunzip("$set/$part-images-idx3-ubyte.gz" => \$images{$part})
        or die $GunzipError;
    gunzip("$set/$part-labels-idx1-ubyte.gz" => \$labels{$part})
        or die $GunzipError;
}

my @base = (0 .. 1999);
my $train = subset('train', \$images{train}, \$labels{train}, @base);
my $again = subset('again', \$images{train}, \$labels{train}, reverse @base);
my $test = subset('test', \$images{t10k}, \$labels{t10k}, 0 .. 999);


# ---- infer baseline -------------------------------------------------------

my $made = good_json('a baseline with labels', 0, 'baseline', $onnx, $train,
                     @spec, '-o', "$dir/one.infer");

is($made->{images}, 2000, 'of 2000 images');
cmp_ok(abs($made->{top1} - 0.935), '<', 0.02, "top-1 $made->{top1}");
cmp_ok($made->{temperature}, '>', 0.5, "temperature $made->{temperature}");
cmp_ok($made->{temperature}, '<', 1.5, 'in reason');
cmp_ok($made->{calibration_error}, '<', 0.03, 'which calibrates');

good_json('the same images backward', 0, 'baseline', $onnx, $again, @spec,
          '-o', "$dir/two.infer");
ok(slurp("$dir/one.infer") eq slurp("$dir/two.infer"),
   'any order, the same bytes');

good_json('a plain file', 0, 'convert', $onnx, @spec, '-o',
          "$dir/plain.infer");
refused('no baseline', 'has no baseline', 'drift', "$dir/plain.infer", $test);

good_json('a baseline into an .infer file, in its place', 0, 'baseline',
          "$dir/plain.infer", $train, '-o', "$dir/plain.infer");
my $scores = good_json('has the same scores', 0, 'drift', "$dir/plain.infer",
                       $test);
is_deeply($scores, good_json('as the other', 0, 'drift', "$dir/one.infer",
                             $test), 'all of them');

good_json('without labels', 0, 'baseline', $onnx, $train, '--unlabelled',
          @spec, '-o', "$dir/bare.infer");
is(score(good_json('has no accuracy', 0, 'drift', "$dir/bare.infer", $test),
         'accuracy', 'share'), undef, 'to estimate');

refused('nowhere to', 'where to', 'baseline', $onnx, $train);
refused('settings for an .infer file', 'fixed', 'baseline',
        "$dir/plain.infer", $train, @spec, '-o', "$dir/no.infer");
refused('no images', 'No such file', 'baseline', $onnx, "$dir/none", @spec,
        '-o', "$dir/no.infer");
ok(!-e "$dir/no.infer", 'nothing is left behind');


# ---- infer drift ----------------------------------------------------------

is_deeply($scores->{alerts}, [], 'test images: no alert');
is($scores->{images}, 1000, 'of 1000 images');
cmp_ok(abs(score($scores, 'accuracy', 'share')->{value} - 0.93), '<', 0.03,
       'accuracy is estimated');

my ($status, $out) = infer('drift', "$dir/one.infer", $test);
like($out, qr/^alerts  none$/m, 'in words');

my $wrong = good_json('another normalisation', 1, 'drift', "$dir/one.infer",
                      $test, '--preprocess', 'mean=0.5 std=0.5');
ok((grep { $_ eq 'tensor' } @{$wrong->{alerts}}), 'is told');
ok(!(grep { $_ eq 'input' } @{$wrong->{alerts}}),
   'the images are what they were');


# ---- INT8 -----------------------------------------------------------------

my @mixed = (0 .. 299);
my @sandals = (grep { ord(substr $labels{train}, 8 + $_, 1) == 5 }
               0 .. 59999)[0 .. 299];
my %share;

for (['mixed', \@mixed], ['sandals', \@sandals]) {
    my ($name, $wanted) = @$_;
    my $cal = subset($name, \$images{train}, \$labels{train}, @$wanted);

    infer('convert', $onnx, @spec, '--quantize', 'static', '--calibrate',
          $cal, '-o', "$dir/$name.infer");

    (undef, my $json) = infer('drift', "$dir/$name.infer", $test, '--json');
    $share{$name} = JSON::PP->new->utf8->decode($json);
}

is_deeply($share{mixed}{alerts}, [], 'INT8, calibrated as it is used: silent');

my $clipped = score($share{sandals}, 'clipped_share', 'share');
is($clipped->{verdict}, 'alert', sprintf 'calibrated on sandals: %.4f %% of '
   . 'activations are clipped, %.4f %% of those of the baseline',
   100 * $clipped->{value}, 100 * $clipped->{baseline});
ok((grep { $_ eq 'saturation' } @{$share{sandals}{alerts}}),
   'it saturates');

done_testing();
