# Threads that help: infer_threads.  The answer has the same digits with and
# without them, and whatever becomes of a request, helpers end with it.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep);

use Fixture::Http;
use Fixture::Infer;

my %part = (
    files  => { 'html/slow.onnx' => slow_model(0.3) },
    main   => 'thread_pool one threads=1; thread_pool three threads=3;',
    http   => 'infer_thread_pool three; infer_queue 64; infer_top_k 10;
               infer_preprocess resize=112 crop=112;',
    server => <<'CONF');
        location /alone { infer_model $ROOT/html/slow.onnx; }
        location /two {
            infer_model $ROOT/html/slow.onnx;
            infer_threads 2;
        }
        location /many {
            infer_model $ROOT/html/slow.onnx;
            infer_threads 8;
        }
        location /one {
            infer_model $ROOT/html/slow.onnx;
            infer_thread_pool one;
            infer_threads 2;
        }
        location /timeout {
            infer_model $ROOT/html/slow.onnx;
            infer_threads 3;
            infer_timeout 50ms;
        }
        location /fast { $TEST_NGINX_FASHION infer_threads 3; }
CONF

my $nginx = started(%part);
my $port = $nginx->{port};
my ($worker) = $nginx->workers;
my $slow = slow_image();

# How many threads of the worker have had 20 ms of a processor.
sub busy_threads {
    return scalar grep {
        my (undef, $fields) = split /\) /, slurp($_), 2;
        (split ' ', $fields)[11] >= 2;
    } glob "/proc/$worker/task/*/stat";
}

sub answer {
    my ($uri, @more) = @_;
    my $res = Fixture::Http::ask($port, post($uri, @more), timeout => 60);

    return "$res->{code} $res->{body}";
}


# ---- the same bits, by more threads -----------------------------------------

my $alone = answer('/alone', $slow);
my $before = busy_threads();

like($alone, qr/^200 /, 'without helpers');
is(answer('/two', $slow), $alone, 'infer_threads 2: the same answer');
cmp_ok(busy_threads(), '>', $before, 'another thread has helped');
is(answer('/many', $slow), $alone,
   'more infer_threads than the pool has: the same answer');
is(answer('/one', $slow), $alone, 'a pool without helpers: the same answer');

my @all = map { { port => $port, packets => [post($_, $slow)] } }
          map { ("/alone", "/two", "/many", "/one") } 1 .. 4;
Fixture::Http::exchange_all(\@all, timeout => 60);

my %bodies;
$bodies{ Fixture::Http::parse($_->{raw})->{body} }++ for @all;
is(codes(@all), '200: 16', 'many at once');
is(scalar keys %bodies, 1, 'all with the same answer');

@all = map { { port => $port,
               packets => [post('/fast', image('9-boot.png'))] } } 1 .. 500;
%bodies = ();
Fixture::Http::exchange_all(\@all, limit => 3);
$bodies{ Fixture::Http::parse($_->{raw})->{body} }++ for @all;
is(codes(@all), '200: 500', 'short predictions, as many at once as threads');
is(scalar keys %bodies, 1, 'all with the same answer');


# ---- requests that end before their helpers ---------------------------------

is(answer('/timeout', $slow) =~ /^(\d+)/ && $1, 504, 'infer_timeout');

for my $seconds (0, 0.02, 0.05, 0.1) {
    for (1 .. 4) {
        my $sock = Fixture::Http::connect_to($port);

        syswrite $sock, post('/many', $slow);
        sleep $seconds;
        close $sock;
    }
}

is(answer('/two', $slow), $alone, 'clients left: the next one is served');
is_deeply([$nginx->workers], [$worker], 'it is the same worker');


# ---- reload and the end -----------------------------------------------------

sub sent {
    my ($n) = @_;

    return in_background(sub {
        my @sent = map { { port => $port, packets => [post('/many', $slow)] } }
                   1 .. $n;
        Fixture::Http::exchange_all(\@sent, timeout => 60);
        return [map { { raw => $_->{raw}, error => $_->{error} } } @sent];
    });
}

for my $n (1, 4) {
    my $requests = sent($n);

    sleep 0.1;
    $nginx->signal('HUP');
    is(codes(@{ $requests->() }), "200: $n", "reload: $n in flight, answered");
}

ok(Fixture::Nginx::wait_for(10, sub { $nginx->workers == 1 }),
   'old workers end');
stops_cleanly($nginx);

for my $signal ('QUIT', 'TERM') {
    for my $moment (0.02, 0.1, 0.2) {
        my $server = started(%part);
        $port = $server->{port};
        my $requests = sent(2);

        sleep 0.05 + $moment;
        $server->signal($signal);
        ok($server->wait_exit(10), "$signal: nginx ends");
        is($server->{status}, 0, 'with status 0');
        is(join("\n", $server->complaints), '', 'nothing alarming is logged');

        my $codes = codes(@{ $requests->() });
        is($codes, '200: 2', 'requests are answered') if $signal eq 'QUIT';
    }
}

done_testing();
