# infer_capture: images that are chosen by their requests' ids, or answered
# with little confidence, lie in a directory as they were sent, with what was
# answered, and never more of them than the directory may hold; whatever
# becomes of the directory, requests are answered.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Digest::MD5 qw(md5);
use JSON::PP;
use MIME::Base64;
use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Onnx;

my $nginx = started(
    workers => 4,
    listen  => 'reuseport',
    main    => 'thread_pool one threads=1;',
    http    => 'infer_thread_pool one; infer_capture off;',
    root_location => 0,
    files   => { 'html/unsure.onnx' => Fixture::Onnx::constant((0) x 10) },
    server  => <<'CONF');
        location / {
            $TEST_NGINX_FASHION $TEST_NGINX_LABELS
            infer_capture $ROOT/all sample=100%;
            infer_feedback 10;
        }
        location /half {
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=half version=2;
            infer_preprocess resize=28 crop=28;
            infer_capture half/ sample=50%;
        }
        location /low {
            infer_capture $ROOT/low low_confidence=0.2;
            infer_preprocess resize=28 crop=28;
            infer_model $ROOT/html/unsure.onnx;
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=sure;
        }
        location /full {
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=full;
            infer_preprocess resize=28 crop=28;
            infer_capture $ROOT/full sample=1 max=64k;
        }
        location /off { $TEST_NGINX_FASHION }
        location = /metrics { infer_metrics; }
CONF
my $port = $nginx->{port};
my $boot = image('9-boot.png');
my $trouser = image('1-trouser.png');

sub ask { return Fixture::Http::ask($port, @_) }

sub names {
    my ($dir) = @_;

    opendir my $d, $nginx->path($dir) or die "$dir: $!\n";

    my @names = sort grep { !/^\.\.?$/ } readdir $d;

    return @names;
}

sub counted {
    my ($model, $result) = @_;
    my $text = ask(Fixture::Http::request('GET', '/metrics'))->{body};

    return $text =~ /^infer_captured_total\{model="$model",.*?
                     result="$result"\}\ (\d+)$/mx ? $1 : undef;
}

# Waits until so many images of a model have been dealt with.
sub settled {
    my ($model, $n) = @_;

    return Fixture::Nginx::wait_for(10, sub {
        my $sum = 0;
        $sum += counted($model, $_) for qw(sample low_confidence full failed);
        return $sum == $n;
    });
}

# What was captured: sidecars with their image's bytes, by id.
sub captured {
    my ($dir) = @_;
    my %all;

    for my $name (grep { /\.json$/ } names($dir)) {
        my $side = decode_json(slurp($nginx->path("$dir/$name")));
        $side->{bytes} = slurp($nginx->path("$dir/$side->{file}"));
        push @{ $all{ $side->{id} } }, $side;
    }

    return \%all;
}


# ---- what is kept ----------------------------------------------------------

my $form = form('file', $trouser);
my $kserve = encode_json({ id => 'two', inputs => [{
    name => 'input', shape => [2], datatype => 'BYTES',
    data => [map { encode_base64($_, '') } $boot, $trouser] }] });
my $tensor = encode_json({ id => 'tensor', inputs => [{
    name => 'input', shape => [1, 1, 28, 28], datatype => 'FP32',
    data => [(0) x 784] }] });

my %sent = (
    raw   => post('/', $boot, 'X-Request-Id: raw'),
    'a/../../b' => post('/x/../', $boot, 'X-Request-Id: a/../../b'),
    form  => post('/', $form, 'X-Request-Id: form',
                  'Content-Type: multipart/form-data; boundary=b'),
    torch => post('/predictions/fashion', $boot, 'X-Request-Id: torch'),
    two   => post('/v2/models/fashion/infer', $kserve),
    tensor => post('/v2/models/fashion/infer', $tensor),
    broken => post('/', substr($boot, 0, 100), 'X-Request-Id: broken'),
);

my %code = map { $_ => ask($sent{$_})->{code} } sort keys %sent;
is_deeply(\%code, { map { $_ => $_ eq 'broken' ? 400 : 200 } keys %sent },
          'answers');
ok(settled('fashion', 6), 'six images');

my $all = captured('all');
is(join(' ', sort keys %$all), 'a/../../b form raw torch two',
   'images that have a class; no tensors');
is(ref $all->{$_} && $all->{$_}[0]{bytes}, $boot, "$_: as it was sent")
    for qw(raw torch), 'a/../../b';
is($all->{form}[0]{bytes}, $trouser, 'the part of a form');

my $side = $all->{raw}[0];
is("$side->{class} $side->{label} $side->{reason} $side->{model}",
   '9 Ankle boot sample fashion', 'what was answered');
cmp_ok(abs($side->{confidence} - 0.93), '<', 0.01, 'confidence');
like($side->{time}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'time');

my %two = map { $_->{index} => $_ } @{ $all->{two} };
is($two{0}{bytes}, $boot, 'a batch: the first');
is("$two{1}{class} $two{1}{label}", '1 Trouser', 'and the second');
is($two{1}{bytes}, $trouser, 'its bytes');

my @names = names('all');
is(scalar @names, 12, 'two files for each');
is_deeply([grep { !/^\d{8}T\d{6}Z-\d+-\d+\.(?:png|json)$/ } @names], [],
          'and no name has anything of a request');


# ---- which are chosen ------------------------------------------------------

my @ids = map { "id-$_" } 1 .. 100;

# The share is that of MD5's second half, as a number.
my @chosen = grep { unpack('x8 Q<', md5($_)) / 2 ** 64 < 0.5 } @ids;

for my $turn (1, 2) {
    my @all = map { { port => $port,
                      packets => [post('/half', $boot, "X-Request-Id: $_")] } }
              @ids;
    Fixture::Http::exchange_all(\@all, limit => 8);
    is(codes(@all), '200: 100', 'a hundred answers');
}

ok(settled('half', 2 * @chosen), 'half of them are kept');
is(counted('half', 'sample'), 2 * @chosen, 'for the sample');

my $half = captured('half');
is_deeply([sort keys %$half], [sort @chosen], 'those that their ids say');
is(scalar(grep { @{ $half->{$_} } != 2 } @chosen), 0, 'each time');

my @low = map { ask(post("/low/predictions/$_", $boot))->{code} }
          qw(unsure sure sure unsure);
is("@low", '200 200 200 200', 'a model that is sure, one that is not');
ok(settled('unsure', 2), 'low confidence');
is(counted('unsure', 'low_confidence'), 2, 'is the reason');
is(counted('sure', $_), 0, "not $_: confident")
    for qw(sample low_confidence full failed);
my ($low) = map { @$_ } values %{ captured('low') };
is($low->{reason}, 'low_confidence', 'the sidecar');

ask(post('/off', $boot));


# ---- how many --------------------------------------------------------------

mkdir $nginx->path('full');
$nginx->write_file('full/.old.png.tmp', 'x' x 50000);
$nginx->write_file('full/.new.png.tmp', 'x' x 4097);
utime time - 7200, time - 7200, $nginx->path('full/.old.png.tmp');

my $start = time;
my @all = map { { port => $port, packets => [post('/full', $boot)] } } 1 .. 40;
Fixture::Http::exchange_all(\@all, limit => 16);
is(codes(@all), '200: 40', 'a full directory fails no request');
ok(settled('full', 40), 'forty images');

# 64 KB less the two blocks of a file that is being written: seven times two.
# A worker that finds another one looking for the first time waits for nobody.
my $kept = counted('full', 'sample');
is(counted('full', 'full'), 40 - $kept, 'the others are counted');
cmp_ok($kept, '<=', 7, 'no more than there is room for');

ask(post('/full', $boot)) for 1 .. 7 - $kept;
ok(settled('full', 47 - $kept), 'some more');
is(counted('full', 'sample'), 7, 'until there is no room');
is_deeply([grep { /tmp/ } names('full')], ['.new.png.tmp'],
          'what a killed worker has left unfinished is gone');
is(scalar names('full'), 15, 'seven with their sidecars');

my $count = 47 - $kept;
ask(post('/full', $boot));
ok(settled('full', ++$count), 'one more');
is(scalar names('full'), 15, 'is not kept');

# Somebody takes them away; that is seen after a while.
unlink map { $nginx->path("full/$_") } names('full');
sleep 0.1 while time < $start + 10.3;
ask(post('/full', $boot));
ok(settled('full', ++$count), 'and one after room was made');
is(scalar names('full'), 2, 'is kept');


# ---- errors ----------------------------------------------------------------

unlink map { $nginx->path("half/$_") } names('half');
rmdir $nginx->path('half') or die;
@all = map { { port => $port,
               packets => [post('/half', $boot, "X-Request-Id: $chosen[0]")] } }
       1 .. 20;
Fixture::Http::exchange_all(\@all);
is(codes(@all), '200: 20', 'without a directory requests are answered');
ok(settled('half', 2 * @chosen + 20), 'they are dealt with');
is(counted('half', 'failed'), 20, 'as failed');
is((() = $nginx->read_log('error.log')
    =~ /\[error\].*infer_capture: ".*half" cannot be written/g), 1,
   'one line in the log');

for my $bad ('x', 'x sample=0', 'x sample=101%', 'x sample=-1', 'x max=1m',
             'x sample=1% max=0', 'x sample=1% low_confidence=2',
             'x sample=1% what=1', 'x sample=%')
{
    my $other = Fixture::Nginx->new;
    configured($other, http => "infer_capture $bad;");
    my ($status, $said) = $other->run('-t');

    is($status, 1, "infer_capture $bad") or diag $said;
}

stops_cleanly($nginx);
done_testing();
