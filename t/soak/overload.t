# Five times as many requests as can be answered: those that are accepted wait
# no longer than the queue is long, the others are refused at once, everyone
# is told, and memory stays as it was.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Load;

my $seconds = soak_seconds();
my $queue = 4;
my $nginx = started(
    files  => { 'html/slow.onnx' => slow_model(0.1) },
    main   => 'thread_pool one threads=1;',
    http   => 'infer_thread_pool one;',
    server => <<"CONF");
        location /p {
            infer_model \$ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
            infer_queue $queue;
            add_header X-Time \$infer_time;
        }
        location = /metrics { infer_metrics; }
CONF
my $request = post('/p', slow_image());

# What one prediction takes when there is just enough to do: the median.
my $load = Fixture::Load->start(port => $nginx->{port}, clients => 1,
                                requests => [$request]);
sleep($seconds < 10 ? 1 : 5);
my $service = percentile(0.5, seconds_of(200, $load->finish));

$load = Fixture::Load->start(port => $nginx->{port}, rate => 5 / $service,
                             requests => [$request]);
sleep $seconds / 3;

my ($worker) = $nginx->workers;
my ($kb, $fds) = (anonymous_kb($worker), descriptors($worker));

sleep $seconds * 2 / 3;

my $growth = anonymous_kb($worker) - $kb;
my @all = $load->finish;
my @good = seconds_of(200, @all);
my @refused = seconds_of(503, @all);
my $p99 = percentile(0.99, @good);

# The accepted are those that the thread pool has and as many behind: as one is
# accepted, all but so many of those before it have been answered.  Compared
# with their answers, a machine that stands still for a moment does not count.
my @ended = sort { $a->[1] <=> $b->[1] }
            map { [$_->[1], $_->[1] + $_->[2]] } grep { $_->[0] eq 200 } @all;
my $places = 2 * $queue;
my @longer = map { $ended[$_ - $places][1] - $ended[$_][0] }
             $places .. $#ended;
my $most = $places * percentile(0.99, map { $ended[$_][1] - $ended[$_ - 1][1] }
                                      1 .. $#ended);

diag sprintf '%d requests in %d s: %s; one takes %.1f ms; accepted p99 '
             . '%.0f ms (queue x p99 between two answers: %.0f ms), more than the '
             . 'queue took by %.1f ms; refused median %.2f ms, p99 %.2f ms; '
             . 'memory %+d KB of %d', scalar @all, $seconds, outcomes(@all),
             $service * 1e3, $p99 * 1e3, $most * 1e3,
             percentile(0.99, @longer) * 1e3, percentile(0.5, @refused) * 1e3,
             percentile(0.99, @refused) * 1e3, $growth, $kb;

like(outcomes(@all), qr/^200: \d+, 503: \d+$/, 'every request is answered');
cmp_ok(scalar @refused, '>', @all / 2, 'more than half are refused');
cmp_ok(scalar @good, '>', 0.3 * $seconds / $service,
       'the server goes on working');
is((grep { (Fixture::Http::parse($_->[3])->{headers}{'retry-after'} // '')
           =~ /^\d+$/ } grep { $_->[0] eq 503 } @all) - @refused, 0,
   'each refusal has Retry-After');

SKIP: {
    skip 'memory and time are the sanitizer\'s', 3 if under_sanitizer();
    cmp_ok($growth, '<', 1024, 'memory does not grow');
    cmp_ok(percentile(0.99, @longer), '<', 0.02,
           'the accepted wait no longer than the queue takes');
    skip 'a short run says little of time', 1 if $seconds < 10;
    cmp_ok(percentile(0.99, @refused), '<', 0.01, 'refusals come at once');
}

Fixture::Nginx::wait_for(2, sub { descriptors($worker) <= $fds });
cmp_ok(descriptors($worker), '<=', $fds, 'no descriptor is left open');

stops_cleanly($nginx);
done_testing();
