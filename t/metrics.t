# infer_metrics: every request is counted once, under its outcome, over all
# workers, a reload and a killed worker; the text is what Prometheus reads.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep);

use Fixture::Http;
use Fixture::Image;
use Fixture::Infer;

my $nginx = started(
    workers => 2,
    main    => 'thread_pool one threads=1;',
    http    => 'infer_thread_pool one;',
    files   => { 'html/slow.onnx' => slow_model(0.3),
                 'html/415.html' => 'no image' },
    server  => <<'CONF');
        location /predict {
            $TEST_NGINX_FASHION
            client_max_body_size 100k;
            infer_max_pixels 10000;
        }
        location /again {
            infer_model $TEST_NGINX_MODELS/fashion.onnx;
            infer_preprocess resize=0 crop=0;
        }
        location /slow {
            infer_model $ROOT/html/slow.onnx 'name=a"b' version=7;
            infer_preprocess resize=112 crop=112;
            infer_queue 1;
            infer_timeout 10s;
        }
        location /timeout {
            infer_model $ROOT/html/slow.onnx name=late;
            infer_preprocess resize=112 crop=112;
            infer_timeout 20ms;
        }
        location /page { infer_model $TEST_NGINX_MODELS/fashion.onnx name=page;
            infer_preprocess resize=28 crop=28;
            error_page 415 /415.html; }
        location = /metrics { infer_metrics; }
        location = /nv { infer_metrics nv; }
CONF
my $port = $nginx->{port};

sub ask { return Fixture::Http::ask($port, @_) }

sub metrics {
    my $res = ask(Fixture::Http::request('GET', '/metrics'));

    return $res->{body};
}

# The value of a series, labels in any order.
sub value {
    my ($text, $name, %label) = @_;

    for my $line (split /\n/, $text) {
        my ($n, $labels, $v) = $line =~ /^(\w+)\{(.*)\} (\S+)$/ or next;
        my %have = $labels =~ /(\w+)="((?:[^"\\]|\\.)*)"/g;

        next if $n ne $name
                || grep { ($have{$_} // '') ne $label{$_} } keys %label;
        return $v;
    }

    return undef;
}

sub outcome {
    my ($reason, $model) = @_;

    return value(metrics(), 'infer_requests_total', reason => $reason,
                 model => $model // 'fashion');
}


my $text = metrics();

is(value($text, 'infer_requests_total', reason => 'ok', model => 'fashion'),
   0, 'counters start at 0');
is(() = $text =~ /^infer_model_info\{model="fashion"/mg, 1,
   'two locations of one name are one model');
unlike($text, qr/^infer_predictions_total/m, 'no class yet');

# One of each outcome.
my $good = image('1-trouser.png');
my %expected = (
    malformed       => [post('/predict', substr($good, 0, 100)),
                        post('/predict', '')],
    method          => [Fixture::Http::request('PUT', '/predict',
                                               body => $good)],
    length_required => ["POST /predict HTTP/1.1\r\nHost: a\r\n"
                        . "Connection: close\r\n\r\n"],
    body_too_large  => [post('/predict', 'x' x 200_000)],
    too_many_pixels => [post('/predict',
                             Fixture::Image::plain(200, 0, 0, 0))],
    unknown_format  => [post('/predict', 'no image')],
    wrong_shape     => [post('/again', Fixture::Image::plain(20, 0, 0, 0))],
);

for my $reason (sort keys %expected) {
    my $n = @{ $expected{$reason} };

    ask($_) for @{ $expected{$reason} };
    is(outcome($reason), $n, "$reason: $n");
}

ask(Fixture::Http::request($_, '/predict')) for qw(GET HEAD OPTIONS);
ask(post('/predict', $good)) for 1 .. 5;
ask(post('/predict', image('9-boot.png')));

$text = metrics();
is(value($text, 'infer_requests_total', reason => 'ok', model => 'fashion'),
   6, 'six predictions; descriptions are none');
is(value($text, 'infer_predictions_total', class => 1), 5, 'class 1');
is(value($text, 'infer_predictions_total', class => 9), 1, 'class 9');
is(value($text, 'infer_phase_seconds_count', phase => $_,
         model => 'fashion'), 6, "phase $_: six times")
    for qw(preprocess infer);
cmp_ok(value($text, 'infer_phase_seconds_sum', phase => 'infer'), '>', 0,
       'time went by');
cmp_ok(abs(value($text, 'infer_last_success_timestamp_seconds',
                 model => 'fashion') - time), '<', 10, 'just now');

# A histogram: buckets grow, the last is the count.
my @bucket = $text =~ /^infer_phase_seconds_bucket\{model="fashion".*?
                       phase="infer",le="[^"]+"\}\ (\d+)$/mgx;
is(scalar @bucket, 28, 'buckets');
is_deeply(\@bucket, [sort { $a <=> $b } @bucket], 'cumulative');
is($bucket[-1], 6, '+Inf');

# An error page of the user's changes nothing, and counts once.
is(ask(post('/page', 'no image'))->{code}, 415, 'an error page');
is(outcome('unknown_format', 'page'), 1, 'counted once');

# Two that run and wait, a third that is refused, and one whose client goes.
my @busy = map { Fixture::Http::connect_to($port) } 1 .. 5;
syswrite $_, post('/slow', slow_image()) for @busy;

ok(Fixture::Nginx::wait_for(10, sub {
    my $t = metrics();
    my %l = (model => 'a\\"b', version => 7);

    return value($t, 'infer_requests_running', %l) >= 1
           && value($t, 'infer_requests_waiting', %l)
              + value($t, 'infer_requests_total', reason => 'queue_full', %l)
              >= 1;
}), 'running and waiting');

close $_ for @busy;

ok(Fixture::Nginx::wait_for(20, sub {
    my $t = metrics();
    my %l = (model => 'a\\"b');

    return value($t, 'infer_requests_running', %l) == 0
           && value($t, 'infer_requests_waiting', %l) == 0
           && value($t, 'infer_requests_total', reason => 'client_gone', %l)
              + value($t, 'infer_requests_total', reason => 'queue_full', %l)
              == 5;
}), 'every client has gone, or was refused, and nothing is left');

is(ask(post('/timeout', slow_image()))->{code}, 504, 'too late');
is(outcome('timeout', 'late'), 1, 'timeout');

# Counters go on over a reload and over a killed worker.
my @old = $nginx->workers;

$nginx->signal('HUP');
ok(Fixture::Nginx::wait_for(20, sub {
    my %now = map { $_ => 1 } $nginx->workers;
    return keys %now == 2 && !grep { $now{$_} } @old;
}), 'reloaded');
is(outcome('ok'), 6, 'counters go on');

my @killed = $nginx->workers;
kill 'KILL', $killed[0];
ok(Fixture::Nginx::wait_for(20, sub {
    my @now = $nginx->workers;
    return @now == 2 && !grep { $_ == $killed[0] } @now;
}), 'a worker was killed');

ask(post('/predict', $good));
is(outcome('ok'), 7, 'nothing was lost');

# What promtool says to it.
SKIP: {
    skip 'PROMTOOL is not set', 1 if !$ENV{PROMTOOL};

    $nginx->write_file('metrics.txt', metrics());
    my $file = $nginx->path('metrics.txt');
    is(scalar(qx($ENV{PROMTOOL} check metrics < $file 2>&1)), '',
       'promtool check metrics');
}

# Triton's names: each says what ours say, in its units.
$text = ask(Fixture::Http::request('GET', '/nv'))->{body};

my %nv = (model => 'fashion', version => 1);
my %seconds = map { $_ => value($text, 'infer_phase_seconds_sum',
                                model => 'fashion', phase => $_) }
              qw(queue decode preprocess infer respond);

is(value($text, 'nv_inference_request_success', %nv), 7, 'nv: successes');
is(value($text, "nv_inference_$_", %nv), 7, "nv: $_")
    for qw(count exec_count);
is(join(' ', map { value($text, 'nv_inference_request_failure', %nv,
                         reason => $_) } qw(REJECTED CANCELED BACKEND OTHER)),
   '0 0 0 8', 'nv: failures');
is(value($text, 'nv_inference_request_failure', reason => 'REJECTED',
         model => 'late', version => 1), outcome('timeout', 'late'),
   'nv: a timeout is a rejection');
is(value($text, 'nv_inference_pending_request_count', %nv), 0,
   'nv: pending');
is(value($text, 'nv_inference_request_success', model => 'a\\"b',
         version => 7) // 'none', outcome('ok', 'a\\"b'), 'nv: a version');

for (['queue', 'queue'], ['compute_input', 'decode', 'preprocess'],
     ['compute_infer', 'infer'], ['compute_output', 'respond'],
     ['request', keys %seconds]) {
    my ($name, @phases) = @$_;
    my $sum = 0;

    $sum += $seconds{$_} for @phases;
    cmp_ok(abs(value($text, "nv_inference_${name}_duration_us", %nv)
               - 1e6 * $sum), '<', 2, "nv: $name");
}

unlike(metrics(), qr/^nv_/m, 'only where they are asked for');

SKIP: {
    skip 'PROMTOOL is not set', 2 if !$ENV{PROMTOOL};

    # It takes the text, and finds fault with nothing but names and units,
    # which are Triton's.
    $nginx->write_file('nv.txt', $text);
    my $file = $nginx->path('nv.txt');
    my @said = split /\n/, qx($ENV{PROMTOOL} check metrics < $file 2>&1);
    is($? >> 8, 3, 'promtool reads it');
    is(join("\n", grep { !/^nv_inference_(?:\w+_)?(?:duration_us|count|success|
                              failure)\ .*(?:"_total"|abbreviated\ units|
                              base\ unit|"_count")/x } @said), '',
       'and complains of names alone');
}

is(ask(Fixture::Http::request('POST', '/metrics', body => 'x'))->{code}, 405,
   'metrics are only read');
is(ask(Fixture::Http::request('HEAD', '/metrics'))->{body}, '', 'HEAD');

stops_cleanly($nginx, qr/exited on signal 9/);
done_testing();
