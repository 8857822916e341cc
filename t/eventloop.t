# The event loop never computes: while eight slow predictions run, a static
# file on the same worker is answered before any of them.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max min);
use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;

my $nginx = started(
    files  => { 'html/slow.onnx' => slow_model(0.3),
                'html/static.txt' => "static\n" },
    main   => 'thread_pool one threads=1;',
    server => <<'CONF');
        location /slow {
            infer_model $ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
            infer_thread_pool one;
        }
CONF
my $port = $nginx->{port};
is(scalar $nginx->workers, 1, 'one worker');

my $predictions = in_background(sub {
    my @all = map { { port => $port,
                      packets => [post('/slow', slow_image())] } } 1 .. 8;
    Fixture::Http::exchange_all(\@all, timeout => 60);
    return [map { { raw => $_->{raw}, finished => $_->{finished} } } @all];
});

sleep 0.1;

my @static = map { { port => $port,
                     packets => [Fixture::Http::request('GET',
                                                        '/static.txt')] } }
             1 .. 20;
Fixture::Http::exchange_all(\@static, limit => 1);
my $done = time;

my @all = @{ $predictions->() };
is(codes(@all), '200: 8', 'eight predictions');
is(codes(@static), '200: 20', 'twenty static files');

my @after = grep { $_->{finished} > $done } @all;
cmp_ok(scalar @after, '>=', 6,
       'the static files came while predictions were waiting');
cmp_ok(max(map { $_->{seconds} } @static), '<', 0.15,
       'none of them waited for a prediction');

stops_cleanly($nginx);
done_testing();
