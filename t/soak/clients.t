# Half of the clients leave at a moment of their own, in the request or after
# it, some with a reset: the others are answered, nobody crashes, nothing is
# left behind.  Meant for an instrumented module (make SAN=1).

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Load;

my $seconds = soak_seconds();
my $nginx = started(
    workers => 2,
    main    => 'thread_pool two threads=2;',
    http    => 'infer_thread_pool two; infer_queue 8;',
    files   => { 'html/slow.onnx' => slow_model(0.03) },
    server  => <<'CONF');
        location /slow {
            infer_model $ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
        }
        location /keep {
            infer_model $ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
            infer_ignore_client_abort on;
        }
        location /late {
            infer_model $ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
            infer_timeout 20ms;
        }
        location /file {
            $TEST_NGINX_FASHION
            client_body_in_file_only clean;
        }
        location /p { $TEST_NGINX_FASHION $TEST_NGINX_LABELS infer_top_k 3; }
        location /share { $TEST_NGINX_FASHION infer_batch size=4 delay=50ms; }
        location = /metrics { infer_metrics; }
CONF
my $port = $nginx->{port};
my @workers = $nginx->workers;
my $image = image('9-boot.png');
my @requests = ((map { post($_, slow_image()) } '/slow', '/keep', '/late'),
                (map { post($_, $image) } '/file', '/p', '/share', '/share'),
                post('/share', substr $image, 0, 200),
                post('/p', substr $image, 0, 200),
                post('/p', form('file', $image),
                     'Content-Type: multipart/form-data; boundary=b'),
                post('/p', Fixture::Http::chunked($image, 50),
                     'Transfer-Encoding: chunked'));

my $load = Fixture::Load->start(port => $port, clients => 24, leave => 0.5,
                                requests => \@requests);
sleep $seconds / 3;
my @kb = map { anonymous_kb($_) } @workers;
sleep $seconds * 2 / 3;
my @grown = map { anonymous_kb($workers[$_]) - $kb[$_] } 0 .. $#workers;
my @all = $load->finish;

diag sprintf '%d requests in %d s: %s; workers %s KB', scalar @all, $seconds,
             outcomes(@all), join ' ', map { sprintf '%+d', $_ } @grown;

unlike(outcomes(@all), qr/timeout|refused|empty|reset|truncated|\b50[02]:/,
       'everyone who stays is answered');
cmp_ok(scalar(seconds_of('left', @all)), '>', @all / 10, 'many leave');
cmp_ok(scalar(seconds_of(200, @all)), '>', @all / 10, 'many are answered');
is_deeply([$nginx->workers], \@workers, 'the workers are the same');

SKIP: {
    skip 'memory is the sanitizer\'s', 1 if under_sanitizer();
    is((grep { $_ > 2048 } @grown), 0, 'they do not grow');
}

ok(Fixture::Nginx::wait_for(10, sub {
    my $text = Fixture::Http::ask($port, Fixture::Http::request(
        'GET', '/metrics'))->{body} // '';
    return !grep { $_ }
           $text =~ /^infer_requests_(?:waiting|running)\S+ (\d+)/mg;
}), 'nothing waits or runs');
is(scalar(() = glob $nginx->path('client_body_temp/*')), 0,
   'no temporary file is left');

stops_cleanly($nginx);
done_testing();
