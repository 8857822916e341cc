# The end of a server with tasks in flight: QUIT answers them all, TERM ends
# at once and cleanly, USR2 hands over to a new master without a failure.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;

my $slow = slow_model(0.2);
my %part = (
    files   => { 'html/slow.onnx' => $slow },
    workers => 2,
    main    => 'thread_pool one threads=1;',
    http    => 'infer_thread_pool one; infer_queue 64;',
    server  => <<'CONF');
        location /slow {
            infer_model $ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
        }
        location /p { $TEST_NGINX_FASHION }
CONF

# $n requests, sent by a child; returns what waits for them.
sub sent {
    my ($port, $n, $uri, $body, %opt) = @_;

    return in_background(sub {
        my @all = map { { port => $port, packets => [post($uri, $body)] } }
                  1 .. $n;
        Fixture::Http::exchange_all(\@all, timeout => 60, %opt);
        return [map { { raw => $_->{raw}, error => $_->{error} } } @all];
    });
}


# ---- QUIT ---------------------------------------------------------------

for my $n (1, 6) {
    my $nginx = started(%part);
    my $requests = sent($nginx->{port}, $n, '/slow', slow_image());

    sleep 0.1;
    $nginx->signal('QUIT');
    is(codes(@{ $requests->() }), "200: $n", "QUIT: $n in flight, answered");
    ok($nginx->wait_exit(10), 'nginx ends');
    is($nginx->{status}, 0, 'with status 0');
    is(join("\n", $nginx->complaints), '', 'nothing alarming is logged');
}


# ---- TERM ---------------------------------------------------------------

# At all moments of a request: before, in and after its task.
my ($clean, $ended, @complaints) = (0, 0);

for my $moment (0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25) {
    my $nginx = started(%part);
    my $requests = sent($nginx->{port}, 4, '/slow', slow_image());

    sleep 0.05 + $moment;
    $nginx->signal('TERM');
    $ended++ if $nginx->wait_exit(5);
    $clean++ if ($nginx->{status} // 1) == 0;
    $requests->();
    push @complaints, $nginx->complaints;
}

is($ended, 8, 'TERM: nginx ends within seconds, eight times');
is($clean, 8, 'with status 0');
is(join("\n", @complaints), '', 'nothing alarming is logged');


# ---- USR2 ---------------------------------------------------------------

my $nginx = started(%part, daemon => 1);
my $port = $nginx->{port};
my $old = $nginx->{pid};
my $load = sent($port, 3000, '/p', image('1-trouser.png'), limit => 16);
my $flight = sent($port, 4, '/slow', slow_image());

sleep 0.1;
$nginx->signal('USR2');

my $new = Fixture::Nginx::wait_for(20, sub {
    return unless -s $nginx->path('logs/nginx.pid.oldbin');
    my $pid = $nginx->pid_of_file;
    return $pid && $pid != $old ? $pid : 0;
});
ok($new, 'USR2: a new master');

sleep 0.2;
kill 'QUIT', $old;
ok(Fixture::Nginx::wait_for(20, sub { !Fixture::Nginx::alive($old) }),
   'the old master ends');

is(codes(@{ $flight->() }), '200: 4', 'tasks in flight are finished');
is(codes(@{ $load->() }), '200: 3000', 'no request fails');
is(Fixture::Http::ask($port, post('/p', image('1-trouser.png')))->{code}, 200,
   'the new master serves');

$nginx->{pid} = $new;
stops_cleanly($nginx);
done_testing();
