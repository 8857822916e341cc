# Models that share threads: however many slow requests one of them has in the
# pool, those of another wait for one of them that runs already, and for no
# more time of the threads than they take themselves.  The measure is what a
# slow request takes at the same time on the same machine.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max);
use Test::More;

use Fixture::Http;
use Fixture::Infer;

my $nginx = started(
    files  => { 'html/slow.onnx' => slow_model(0.1) },
    main   => 'thread_pool one threads=1;',
    http   => 'infer_thread_pool one; infer_queue 64;
               add_header X-Queue $infer_queue_time;
               add_header X-Time $infer_time;',
    server => <<'CONF');
        location = /metrics { infer_metrics; }
        location /slow {
            infer_model $ROOT/html/slow.onnx name=slow;
            infer_preprocess resize=112 crop=112;
        }
        location /same {
            infer_model $ROOT/html/slow.onnx name=same;
            infer_preprocess resize=112 crop=112;
        }
        location /batch {
            infer_model $ROOT/html/slow.onnx name=batch;
            infer_preprocess resize=112 crop=112;
            infer_batch size=4;
        }
        location /fast { $TEST_NGINX_FASHION }
CONF
my $port = $nginx->{port};
my $fast = image('9-boot.png');

sub metric {
    my ($name, $model) = @_;
    my $text = Fixture::Http::ask(
        $port, Fixture::Http::request('GET', '/metrics'))->{body};

    return $text =~ /^$name\{model="$model"[^\n]* (\d+)$/m ? $1 : 0;
}

# So many requests, in the background.
sub sent {
    my ($uri, $body, $n, %opt) = @_;

    return in_background(sub {
        my @all = map { { port => $port, packets => [post($uri, $body)] } }
                  1 .. $n;
        Fixture::Http::exchange_all(\@all, timeout => 120, %opt);
        return [map { { raw => $_->{raw} } } @all];
    });
}

# Waits until so many requests of a model wait for a thread.
sub queued {
    my ($model, $n) = @_;

    ok(Fixture::Nginx::wait_for(60, sub {
        return metric('infer_requests_waiting', $model) >= $n;
    }), "$model: a queue");
}

# The longest that one of these requests waited, or took.
sub longest {
    my ($header, @all) = @_;

    return max map { Fixture::Http::parse($_->{raw})->{headers}{$header} }
               @all;
}


# ---- a flood of slow requests, some fast ones -------------------------------

my $flood = sent('/slow', slow_image(), 24);
queued('slow', 20);

my @fast = @{ sent('/fast', $fast, 12)->() };
my @slow = @{ $flood->() };

is(codes(@fast), '200: 12', 'fast requests');
is(codes(@slow), '200: 24', 'slow requests');
cmp_ok(longest('x-queue', @fast), '<', 5 * longest('x-time', @slow),
       'the fast ones did not wait for the twenty slow ones before them');


# ---- as slow, and fewer: in turns -------------------------------------------

$flood = sent('/slow', slow_image(), 24);
queued('slow', 20);

my @same = @{ sent('/same', slow_image(), 3)->() };
@slow = @{ $flood->() };
is(codes(@same), '200: 3', 'three of another model');
cmp_ok(longest('x-queue', @same), '<',
       10 * longest('x-time', @slow, @same),
       'a model with few requests is not held up by one with many');


# ---- batches ---------------------------------------------------------------

$flood = sent('/slow', slow_image(), 20);
queued('slow', 16);

my @batch = @{ sent('/batch', slow_image(), 8)->() };
@slow = @{ $flood->() };
is(codes(@batch), '200: 8', 'batches in between');
cmp_ok(metric('infer_batch_size_count', 'batch'), '<', 8,
       'requests that wait become batches without a delay');


# ---- nobody is forgotten ----------------------------------------------------

my @mix = map { sent(@$_) } ['/slow', slow_image(), 8], ['/fast', $fast, 200, limit => 64],
                            ['/same', slow_image(), 8],
                            ['/batch', slow_image(), 6];
is(codes(map { @{ $_->() } } @mix), '200: 222', 'all are answered');
is(metric('infer_requests_waiting', $_) + metric('infer_requests_running', $_),
   0, "$_: nothing is left") for qw(slow same fashion batch);

stops_cleanly($nginx);
done_testing();
