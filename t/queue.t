# More requests than can be worked on: infer_queue and 503, infer_timeout and
# 504, and what becomes of the place of a client that has gone.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;

my $slow = slow_model(0.4);
my $nginx = started(
    files  => { 'html/slow.onnx' => $slow },
    main   => 'thread_pool one threads=1;',
    http   => 'infer_thread_pool one; infer_preprocess resize=112 crop=112;
               log_format s "$uri $status"; access_log $ROOT/logs/s.log s;',
    server => <<'CONF');
        location /one {
            infer_model $ROOT/html/slow.onnx;
            infer_queue 1;
            add_header X-Queue $infer_queue_time;
            add_header X-Time $infer_time;
        }
        location /timeout {
            infer_model $ROOT/html/slow.onnx;
            infer_timeout 100ms;
        }
        location /wide {
            infer_model $ROOT/html/slow.onnx;
            infer_queue 64;
        }
CONF
my $port = $nginx->{port};

sub exchanges {
    my ($n, $uri) = @_;

    return map { { port => $port,
                   packets => [post($uri, slow_image())] } } 1 .. $n;
}

sub answer { return Fixture::Http::parse($_[0]->{raw}) }

# A client that sends its request and does not wait.
sub leaver {
    my ($uri) = @_;
    my $sock = Fixture::Http::connect_to($port);

    syswrite $sock, post($uri, slow_image());

    return $sock;
}


my @all = exchanges(6, '/one');
Fixture::Http::exchange_all(\@all, timeout => 60);

my @good = grep { answer($_)->{code} == 200 } @all;
my @refused = grep { answer($_)->{code} == 503 } @all;

is(@good + @refused, 6, 'each of six requests is answered: ' . codes(@all));
cmp_ok(scalar @good, '>=', 1, 'at least one has a place');
cmp_ok(scalar @good, '<=', 2, 'at most one runs and one waits');

my ($first) = sort { $a <=> $b } map { $_->{finished} } @good;

ok((grep { $_->{finished} < $first } @refused) == @refused,
   '503 comes at once, before the first prediction');

for my $res (map { answer($_) } @refused) {
    like($res->{headers}{'retry-after'} // '', qr/^\d+$/, 'Retry-After');
    is($res->{headers}{'content-type'}, 'application/json', 'JSON');
    ok(length(eval { decode_json($res->{body}) }->{error} // ''), 'error');
}

if (@good == 2) {
    my ($ran, $waited) = map { answer($_)->{headers} }
                         sort { $a->{finished} <=> $b->{finished} } @good;
    cmp_ok($waited->{'x-queue'}, '>', $ran->{'x-time'} / 2,
           '$infer_queue_time of the one that waited');
    cmp_ok($ran->{'x-queue'}, '<', $ran->{'x-time'} / 2,
           '$infer_queue_time of the one that did not');
}

@all = exchanges(1, '/one');
Fixture::Http::exchange_all(\@all, timeout => 60);
is(codes(@all), '200: 1', 'the places are free again');


# GET needs no place.
my @leavers = map { leaver('/wide') } 1 .. 2;
sleep 0.05;
my $start = time;
is(Fixture::Http::ask($port, Fixture::Http::request('GET', '/one'))->{code},
   200, 'GET while a prediction runs');
cmp_ok(time - $start, '<', 0.3, 'GET does not wait for it');
close $_ for @leavers;


# Clients that leave while they wait free their places.
sleep 0.05;
@leavers = map { leaver('/one') } 1 .. 2;
sleep 0.1;
close $_ for @leavers;
sleep 0.1;

@all = exchanges(1, '/one');
Fixture::Http::exchange_all(\@all, timeout => 60);
is(codes(@all), '200: 1', 'the place of a client that left is free');


# infer_timeout.
@all = exchanges(3, '/timeout');
Fixture::Http::exchange_all(\@all, timeout => 60);
is(codes(@all), '504: 3', 'a prediction longer than infer_timeout is 504');
cmp_ok($_->{seconds}, '<', 0.35, '504 comes when it is time') for @all;
ok(length(eval { decode_json(answer($_)->{body}) }->{error} // ''),
   '504 is JSON') for @all;

@all = exchanges(1, '/wide');
Fixture::Http::exchange_all(\@all, timeout => 60);
is(codes(@all), '200: 1', 'after a timeout the next prediction runs');


# A wide queue takes them all, in order.
@all = exchanges(4, '/wide');
Fixture::Http::exchange_all(\@all, timeout => 60);
is(codes(@all), '200: 4', 'a wide queue');

my $log = $nginx->read_log('s.log');
is(() = $log =~ m{^/one 499$}mg, 2, '499 is logged for those who left');

stops_cleanly($nginx);
done_testing();
