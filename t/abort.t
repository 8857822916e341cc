# Clients that leave at every stage of a request: the worker lives on, and
# what a task finds when it is done is never a request that has gone.
# (RedisAI#197: a client that left during inference crashed the server.)

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep);

use Fixture::Http;
use Fixture::Infer;

my $http2 = Fixture::Nginx::free_port();
my $nginx = started(
    files  => { 'html/slow.onnx' => slow_model(0.3) },
    main   => 'thread_pool two threads=2;',
    http   => 'infer_thread_pool two; infer_preprocess resize=112 crop=112;
               log_format s "$uri $status"; access_log $ROOT/logs/s.log s;',
    server => <<'CONF',
        location /slow {
            infer_model $ROOT/html/slow.onnx;
            infer_queue 4;
        }
        location /keep {
            infer_model $ROOT/html/slow.onnx;
            infer_ignore_client_abort on;
        }
        location /file {
            infer_model $ROOT/html/slow.onnx;
            client_body_in_file_only clean;
        }
        location /fast { $TEST_NGINX_FASHION }
CONF
    http_end => <<"CONF");
    server {
        listen $http2 http2;
        location /http2 { infer_model \$ROOT/html/slow.onnx; }
    }
CONF
my $port = $nginx->{port};
my ($worker) = $nginx->workers;

# Connects, sends, waits, leaves; with a reset if asked for.
sub visit {
    my ($bytes, $seconds, $reset) = @_;
    my $sock = Fixture::Http::connect_to($port);

    syswrite $sock, $bytes if length $bytes;
    sleep $seconds if $seconds;
    setsockopt $sock, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $reset;
    close $sock;
}

sub logged {
    my ($line, $count) = @_;

    return Fixture::Nginx::wait_for(10, sub {
        return (() = $nginx->read_log('s.log') =~ /^\Q$line\E$/mg) >= $count;
    });
}


my $slow = post('/slow', slow_image());
my $file = post('/file', slow_image());
my $fast = post('/fast', image('1-trouser.png'));
my @stages = (
    ['after connecting', ''],
    ['in the request line', substr $slow, 0, 5],
    ['in the headers', substr $slow, 0, 30],
    ['before the body', $slow =~ /\A(.*?\r\n\r\n)/s],
    ['in the body', substr $slow, 0, length($slow) - 20],
    ['in a body in a file', substr $file, 0, length($file) - 20],
    ['right after the body', $slow],
    ['right after the body in a file', $file],
    ['right after a fast prediction', $fast],
    ['with a second request behind', $slow . $slow],
);

for my $stage (@stages) {
    my ($name, $bytes) = @$stage;

    for my $seconds (0, 0.03) {
        for my $reset (0, 1) {
            visit($bytes, $seconds, $reset);
        }
    }

    my $res = Fixture::Http::ask($port, $fast);
    is($res->{code}, 200, "a client left $name: the next one is served");
}

ok(logged('/slow 499', 1), 'a client that left is logged as 499');


# While its task runs, while others wait behind it.
visit($slow, 0.15) for 1 .. 2;
visit($slow, 0.01) for 1 .. 6;
is(Fixture::Http::ask($port, $slow, timeout => 60)->{code}, 200,
   'clients left while tasks ran and waited: the next one is served');

# One that would be refused leaves, too.
visit($slow, 0) for 1 .. 40;
is(Fixture::Http::ask($port, $fast, timeout => 60)->{code}, 200,
   'forty clients left at once: the next one is served');


# HTTP/2: curl leaves in the middle.
my $body = $nginx->write_file('html/body.png', slow_image());
system("curl -s --http2-prior-knowledge --max-time 0.15 --data-binary \@$body"
       . " http://127.0.0.1:$http2/http2 >/dev/null") for 1 .. 3;
ok(logged('/http2 499', 1), 'HTTP/2: a client that left is logged as 499');
is(Fixture::Http::ask($port, $fast, timeout => 60)->{code}, 200,
   'HTTP/2: the next one is served');


# infer_ignore_client_abort: the prediction is finished and logged as such.
visit(post('/keep', slow_image()), 0.05);
ok(logged('/keep 200', 1),
   'infer_ignore_client_abort on: the request ends as usual');

# HTTP/1.1 half-close: gone by default, served when ignored.
for my $case (['/slow', qr/^(?:|499)$/], ['/keep', qr/^200$/]) {
    my ($uri, $code) = @$case;
    my $x = { port => $port, packets => [post($uri, slow_image())],
              shutdown => 1 };
    Fixture::Http::exchange_all([$x], timeout => 60);
    like(Fixture::Http::parse($x->{raw})->{code} // '', $code,
         "$uri: a client that only closes its sending side");
}

is_deeply([$nginx->workers], [$worker], 'it is the same worker');
stops_cleanly($nginx);
done_testing();
