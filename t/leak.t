# Ten thousand requests of every kind leave the worker as large as it was.
# (With a sanitizer a tenth of them: there its own report at the end counts.)

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;

use Fixture::Http;
use Fixture::Image;
use Fixture::Infer;

my $total = under_sanitizer() ? 1000 : 10000;
my $nginx = started(
    log_level => 'error',
    main   => 'thread_pool two threads=2;',
    http   => 'access_log off; infer_thread_pool two; infer_queue 64;',
    server => <<'CONF');
        location /p { $TEST_NGINX_FASHION $TEST_NGINX_LABELS infer_top_k 3; }
        location /file {
            $TEST_NGINX_FASHION
            client_body_in_file_only clean;
        }
        location /small { $TEST_NGINX_FASHION client_max_body_size 100; }
CONF
my $port = $nginx->{port};
my ($worker) = $nginx->workers;

my $png = image('9-boot.png');
my $form = 'Content-Type: multipart/form-data; boundary=b';
my $header = substr post('/p', $png), 0, 40;
my @requests = (
    [200, post('/p', $png)],
    [200, post('/p', image('1-trouser.jpg'))],
    [200, post('/p', image('1-trouser.gif'))],
    [200, post('/p', form('file', $png), $form)],
    [200, post('/file', $png)],
    [200, post('/p', Fixture::Http::chunked($png, 100),
               'Transfer-Encoding: chunked')],
    [400, post('/p', substr($png, 0, 200))],
    [400, post('/p', substr(image('1-trouser.jpg'), 0, 300))],
    [400, post('/p', form('other', $png), $form)],
    [413, post('/p', Fixture::Image::png_of(30000, 30000, ''))],
    [413, post('/small', $png)],
    [415, post('/p', 'text')],
    [200, Fixture::Http::request('GET', '/p')],
    [405, Fixture::Http::request('PUT', '/p', body => $png)],
    [undef, $header],
    [undef, post('/p', $png)],
);

# Sends $n requests, a few at a time; returns how many had another status.
# A request without a status is one whose client leaves when it is sent.
sub requests {
    my ($n) = @_;
    my $wrong = 0;

    while ($n > 0) {
        my @stay;

        for my $i (1 .. ($n < 200 ? $n : 200)) {
            my ($code, $bytes) = @{ $requests[$i % @requests] };
            $n--;

            if (defined $code) {
                push @stay, { port => $port, packets => [$bytes],
                              code => $code };
                next;
            }

            my $sock = Fixture::Http::connect_to($port);
            syswrite $sock, $bytes;
            close $sock;
        }

        Fixture::Http::exchange_all(\@stay, limit => 16, timeout => 30);
        $wrong += grep {
            (Fixture::Http::parse($_->{raw})->{code} // 0) != $_->{code}
        } @stay;
    }

    return $wrong;
}

# Kilobytes of memory of the worker that are its own.
sub memory {
    my $rollup = slurp("/proc/$worker/smaps_rollup");
    my $kb = 0;

    $kb += $1 while $rollup =~ /^Private_(?:Clean|Dirty):\s+(\d+)/mg;

    return $kb;
}

sub descriptors { return scalar(() = glob "/proc/$worker/fd/*") }


is(requests($total / 4), 0, 'the first requests get what they should');

my ($kb, $fds) = (memory(), descriptors());

is(requests($total - $total / 4), 0, 'and so do the others');

my $growth = memory() - $kb;

SKIP: {
    skip 'memory is the sanitizer\'s', 1 if under_sanitizer();
    cmp_ok($growth, '<', 512, "memory has grown by $growth KB of $kb");
}

Fixture::Nginx::wait_for(2, sub { descriptors() <= $fds });
cmp_ok(descriptors(), '<=', $fds, 'no descriptor is left open');
is_deeply([$nginx->workers], [$worker], 'it is the same worker');
is(scalar(() = glob $nginx->path('client_body_temp/*')), 0,
   'no temporary file is left');

stops_cleanly($nginx);
done_testing();
