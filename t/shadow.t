# infer_shadow: what is counted of a second model is what infer compare and
# infer run tell of both; the ids decide which requests it computes; a request
# never waits for it; clients that leave, reloads and the end of a worker do it
# no harm.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Cwd qw(abs_path);
use Digest::MD5 qw(md5);
use File::Temp qw(tempdir);
use JSON::PP;
use List::Util qw(max sum);
use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Onnx;

my $infer = abs_path($ENV{INFER} // 'build/infer');
my $dir = tempdir(CLEANUP => 1);
my $set = '../shared/models/fashion/png';
my $onnx = 'conf/models/fashion.onnx';
my @spec = ('--preprocess', 'resize=28 crop=28 mean=0.2860 std=0.3530');

# In INT8, badly calibrated: some classes are others.
system("$infer convert $onnx -o $dir/int8.infer $spec[0] '$spec[1]' "
       . "--quantize static --calibrate $set --observer entropy "
       . "> $dir/log 2>&1") == 0
    or die slurp("$dir/log");

my $slow = slow_model(0.6);
my %part = (
    main   => 'thread_pool one threads=1;',
    http   => 'infer_thread_pool one;
               infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;',
    root_location => 0,
    files  => { 'html/slow.onnx' => $slow,
                'html/fast.onnx' => Fixture::Onnx::slow(1),
                'html/int8.infer' => slurp("$dir/int8.infer") },
    server => <<'CONF');
        location / {
            infer_model $ROOT/html/int8.infer;
            infer_shadow $TEST_NGINX_MODELS/fashion.onnx sample=100%;
        }
        location /same {
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=same version=1;
            infer_shadow $TEST_NGINX_MODELS/fashion.onnx sample=100%;
        }
        location /half {
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=half;
            infer_shadow $TEST_NGINX_MODELS/fashion.onnx sample=0.5;
        }
        location /off {
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=off;
            infer_shadow off;
        }
        location /fast {
            infer_model $ROOT/html/fast.onnx;
            infer_preprocess resize=112 crop=112;
            infer_shadow $ROOT/html/slow.onnx sample=100%;
            infer_queue 64;
        }
        location = /metrics { infer_metrics; }
        location = /status { infer_status; }
CONF
my $nginx = started(%part);
my $port = $nginx->{port};

sub ask { return Fixture::Http::ask($port, @_) }

sub get { return ask(Fixture::Http::request('GET', $_[0]))->{body} }

# The counters of a model's shadow.
sub shadow {
    my ($model) = @_;
    my ($m) = grep { $_->{name} eq $model }
              @{ decode_json(get('/status'))->{models} };

    return $m->{shadow};
}

# Waits until a shadow has computed so many images.
sub compared {
    my ($model, $n) = @_;

    return Fixture::Nginx::wait_for(60, sub {
        my $s = shadow($model);
        return $s->{same} + $s->{other} == $n;
    });
}


# ---- what it tells ---------------------------------------------------------

my @images = grep { /\.png$/ } glob "$set/*.png";
my $n = @images;
my $done = 0;
my $right = 1;

while (my @some = splice @images, 0, 10) {
    my @all = map { { port => $port, packets => [post('/', slurp($_))] } }
              @some;
    Fixture::Http::exchange_all(\@all);
    $right &&= codes(@all) eq '200: ' . @some;
    compared('int8', $done += @some) or last;
}

ok($right, "$n images are answered");
is($done, $n, 'and computed by the shadow');

my $s = shadow('int8');
my $compare = decode_json(scalar qx($infer compare $dir/int8.infer $onnx $set \\
                                    $spec[0] '$spec[1]' --json));

is($compare->{images}, $n, 'infer compare');
cmp_ok($compare->{agreement}, '<', 1, 'the models are not the same');
is($s->{same}, sprintf('%.0f', $compare->{agreement} * $n),
   "agreement is that of infer compare: $s->{same} of $n");
is($s->{busy} + $s->{failed}, 0, 'nothing was left out');

# Probabilities of all classes by both models.
my @p;

for my $model ("$dir/int8.infer", $onnx) {
    my $all = decode_json(scalar qx($infer run $model $set/*.png --top 10 \\
                                    $spec[0] '$spec[1]' --json));
    push @p, [map { my %p = map { $_->{class} => $_->{probability} }
                    @{ $_->{top} }; [@p{0 .. 9}] } @$all];
}

my (@error, @relative, @gap);

for my $i (0 .. $n - 1) {
    my ($a, $b) = ($p[0][$i], $p[1][$i]);
    push @error, max(map { abs($a->[$_] - $b->[$_]) } 0 .. 9);
    push @relative, $error[-1] / max(@$a);
    push @gap, abs(max(@$a) - max(@$b));
}

cmp_ok(abs($s->{max_error} - max(@error)), '<', 1e-6, 'largest error');
cmp_ok(abs($s->{max_relative_error} - max(@relative)), '<', 1e-6,
       'over the confidence');
cmp_ok(abs($s->{error} - sum(@error) / $n), '<', 1e-6, 'mean error');
cmp_ok(abs($s->{confidence_gap} - sum(@gap) / $n), '<', 1e-6,
       'mean distance of the confidences');

my $text = get('/metrics');
my %bucket = $text =~ /^infer_shadow_error_bucket\{model="int8",version="",
                       le="([^"]+)"\}\ (\d+)$/mgx;

for my $le (0.001, 0.01, 0.1) {
    is($bucket{ sprintf '%.7f', $le }, scalar(grep { $_ <= $le } @error),
       "errors up to $le");
}

is($bucket{'+Inf'}, $n, 'all');
like($text, qr/^infer_shadow_compared_total\{model="int8",version="",
              result="same"\}\ $s->{same}$/mx, 'agreement in the metrics');
unlike($text, qr/^infer_shadow_\w+\{model="off"/m, 'a model without a shadow');

SKIP: {
    skip 'PROMTOOL is not set', 1 if !$ENV{PROMTOOL};

    my $file = $nginx->write_file('metrics.txt', $text);
    is(scalar(qx($ENV{PROMTOOL} check metrics < $file 2>&1)), '',
       'promtool check metrics');
}


# ---- tensors, batches, ids -------------------------------------------------

my $tensor = sub {
    my ($rows) = @_;
    return post('/same/v2/models/same/infer', encode_json({ inputs => [{
        name => 'input', shape => [$rows, 1, 28, 28], datatype => 'FP32',
        data => [map { $_ % 7 / 7 + $rows } 1 .. $rows * 784] }] }));
};

is(ask($tensor->(1))->{code}, 200, 'a tensor');
is(ask($tensor->(5))->{code}, 200, 'a batch');
ok(compared('same', 6), 'each row is computed');
is(shadow('same')->{same}, 6, 'the same model agrees');
is(shadow('same')->{max_error}, 0, 'to the bit');

my @ids = map { "id-$_" } 1 .. 60;
my @chosen = grep { unpack('x8 Q<', md5($_)) / 2 ** 64 < 0.5 } @ids;
my $boot = image('9-boot.png');
my $due = 0;

for my $id (@ids) {
    ask(post('/half', $boot, "X-Request-Id: $id"));
    compared('half', ++$due) if grep { $_ eq $id } @chosen;
}

ok(compared('half', scalar @chosen), 'the ids decide');


# ---- never in the way ------------------------------------------------------

sub seconds {
    my $start = time;

    ask(post('/fast', slow_image()));

    return time - $start;
}

my $alone = (sort { $a <=> $b } map { seconds() } 1 .. 5)[2];
my $start;
ok(Fixture::Nginx::wait_for(60, sub { shadow('fast')->{same}
                                      + shadow('fast')->{other} >= 1 }),
   'the shadow has run');

# It is running, or about to, in the only thread.
my @with;

for (1 .. 15) {
    sleep 0.05;
    push @with, seconds();
}

my $worst = (sort { $b <=> $a } @with)[1];

SKIP: {
    skip 'times are the sanitizer\'s', 1 if under_sanitizer();
    cmp_ok($worst, '<', $alone + 0.15,
           sprintf 'a request waits for a piece at most: %.0f ms, %.0f alone',
           1000 * $worst, 1000 * $alone);
}

my @all = map { { port => $port, packets => [post('/fast', slow_image())] } }
          1 .. 40;
Fixture::Http::exchange_all(\@all, limit => 40, timeout => 60);
is(codes(@all), '200: 40', 'forty at once');
cmp_ok(shadow('fast')->{busy}, '>=', 40 - 16, 'most of them are left out');


# ---- what comes to an end --------------------------------------------------

my @gone = map { Fixture::Http::connect_to($port) } 1 .. 5;
syswrite $_, post('/', $boot) for @gone;
sleep 0.02;
close $_ for @gone;
is(ask(post('/', $boot))->{code}, 200, 'after clients that have left');

my $before = shadow('int8');
my @old = $nginx->workers;

$start = time;
$nginx->signal('HUP');
ok(Fixture::Nginx::wait_for(20, sub {
    my %now = map { $_ => 1 } $nginx->workers;
    return keys %now == 1 && !grep { $now{$_} } @old;
}), 'a reload while requests wait for the shadow');
cmp_ok(time - $start, '<', 5, 'does not wait for them');

cmp_ok(shadow('int8')->{same}, '>=', $before->{same}, 'counters go on');

my $fast = shadow('fast');
ok($fast->{busy} >= 24 + 1, 'what was not computed is counted');
is(ask(post('/', $boot))->{code}, 200, 'the new worker');
ok(Fixture::Nginx::wait_for(10, sub {
    my $s = shadow('int8');
    return $s->{same} + $s->{other} > $before->{same} + $before->{other};
}), 'has its shadow');

ask(post('/fast', slow_image()));


# ---- configuration ---------------------------------------------------------

my %bad = (
    "\$ROOT/html/slow.onnx" => qr/slow\.onnx": its inputs or classes are not/,
    "\$ROOT/html/no.onnx" => qr/no\.onnx.*failed/,
    "$ENV{TEST_NGINX_MODELS}/fashion.onnx sample=0" => qr/invalid parameter/,
    "$ENV{TEST_NGINX_MODELS}/fashion.onnx size=1" => qr/invalid parameter/,
    "$ENV{TEST_NGINX_MODELS}/fashion.onnx sample" => qr/invalid parameter/,
);

for my $bad (sort keys %bad) {
    my $other = Fixture::Nginx->new;
    $other->write_file('html/slow.onnx', $slow);
    configured($other, server => "location /p { \$TEST_NGINX_FASHION
                                  infer_shadow $bad; }");
    my ($status, $said) = $other->run('-t');

    is($status, 1, "infer_shadow $bad");
    like($said, $bad{$bad}, 'why');
}

stops_cleanly($nginx);
done_testing();
