# Three nodes behind an nginx that balances (as conf/balancer.conf does); one
# after the other is killed under load and comes back: at the front no request
# fails.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Load;

my $seconds = soak_seconds();
my @nodes = map {
    started(main   => 'thread_pool one threads=1;',
            http   => 'infer_thread_pool one; infer_queue 64;',
            server => 'location /p { $TEST_NGINX_FASHION }')
} 1 .. 3;

# What the front says about its upstream and where it passes requests, as in
# the example, but for the addresses.
my $example = slurp("$ENV{TEST_NGINX_MODELS}/../balancer.conf");
my ($upstream) = $example =~ /^(    upstream nodes \{.*?^    \})/ms;
my ($location) = $example =~ /^(        location \/ \{.*?^        \})/ms;

$upstream =~ s/10\.0\.0\.1$_:8080/127.0.0.1:$nodes[$_ - 1]{port}/ for 1 .. 3;
$upstream =~ s/fail_timeout=10s/fail_timeout=1s/g;

my $front = started(
    workers => 2,
    http    => "$upstream\nlog_format n '\$upstream_addr';"
               . 'access_log $ROOT/logs/n.log n;',
    server  => $location, root_location => 0);

my $load = Fixture::Load->start(port => $front->{port}, rate => 100,
                                requests => [post('/p',
                                                  image('1-trouser.png'))]);
my ($kills, $back) = (0, 0);
my $until = time + $seconds;

while (time < $until) {
    my $node = $nodes[$kills % @nodes];

    sleep 0.5;
    $node->crash;
    $kills++;
    sleep 0.5;
    unlink $node->path('logs/nginx.pid');
    $back++ if $node->start;
    sleep 1.2;
}

my @all = $load->finish;
my $log = $front->read_log('n.log');
my $again = () = $log =~ /, /g;
my %asked = map { $_ => 1 } $log =~ /(127\S+?:\d+)/g;

diag sprintf '%d nodes killed in %d s: %s; %d asked another node; p99 %.2f '
             . 'ms', $kills, $seconds, outcomes(@all), $again,
             percentile(0.99, seconds_of(200, @all)) * 1e3;

is($back, $kills, 'each node comes back');
is(outcomes(@all), '200: ' . @all, 'no request fails');
cmp_ok($again, '>=', $kills, 'another node was asked');
is(scalar keys %asked, 3, 'all nodes have worked');

stops_cleanly($front);
stops_cleanly($_) for @nodes;
done_testing();
