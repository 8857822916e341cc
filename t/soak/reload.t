# Reload after reload under constant load: no request fails or waits, and of
# the configurations that have gone nothing is left: no mapping, no
# descriptor, no memory, no process.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Load;
use Fixture::Onnx;

my $seconds = soak_seconds();
my $reloads = $seconds < 10 ? 10 : 200;
my $workers = 2;
my $nginx = started(
    workers => $workers,
    listen  => 'reuseport',
    main    => 'thread_pool one threads=1;',
    http    => 'infer_thread_pool one; infer_queue 64; access_log off;
                infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;',
    files   => { 'html/changing.onnx' => Fixture::Onnx::constant(0, 9) },
    server  => <<'CONF');
        location /p { $TEST_NGINX_FASHION }
        location /changing { infer_model $ROOT/html/changing.onnx; }
CONF
my $port = $nginx->{port};
my @requests = map { post($_, image('1-trouser.png')) } '/p', '/changing';

# Each reload finds another version of one model and the same of the other.
sub reload {
    my ($n) = @_;
    my @old = $nginx->workers;
    my $model = $nginx->path('html/changing.onnx');

    $nginx->write_file("$model.new", Fixture::Onnx::constant(0, 9, $n / 1e3));
    rename "$model.new", $model or die "$model: $!\n";
    $nginx->signal('HUP');

    return Fixture::Nginx::wait_for(30, sub {
        my %now = map { $_ => 1 } $nginx->workers;
        return keys %now == $workers && !grep { $now{$_} } @old;
    });
}

# What the master and the workers hold: mappings of models, shared zones of the
# master, descriptors, and the master's own kilobytes.
sub held {
    my @pids = ($nginx->{pid}, $nginx->workers);

    return { mappings => join(' ', map { scalar keys %{ shared_mappings($_) } }
                                   @pids),
             zones => scalar(() = slurp("/proc/$pids[0]/maps")
                                  =~ m{/dev/zero}g),
             descriptors => join(' ', map { descriptors($_) } @pids),
             kb => anonymous_kb($pids[0]) };
}

sub load {
    return Fixture::Load->start(port => $port, rate => 100,
                                requests => \@requests);
}


# Without reloads, to compare with.
my $load = load();
sleep($seconds < 10 ? 1 : $seconds / 4);
my @quiet = $load->finish;

reload($_) for 1 .. 5;
sleep 0.3;
my $before = held();

$load = load();
my $begin = time;
my $done = 0;

for my $n (6 .. $reloads + 5) {
    $done++ if reload($n);
    my $rest = $begin + $seconds * $done / $reloads - time;
    sleep $rest if $rest > 0;
}

my @all = $load->finish;
sleep 0.3;
my $after = held();
my ($p99, $quiet) = map { percentile(0.99, seconds_of(200, @$_)) * 1e3 }
                    \@all, \@quiet;

diag sprintf '%d reloads in %d s, %s; p99 %.2f ms, without reloads %.2f ms; '
             . 'master %+d KB of %d', $done, time - $begin, outcomes(@all),
             $p99, $quiet, $after->{kb} - $before->{kb}, $before->{kb};

is($done, $reloads, 'after each reload only new workers are there');
is(outcomes(@all), '200: ' . @all, 'no request fails');
is($after->{$_}, $before->{$_}, "$_ of master and workers are the same")
    for qw(mappings zones descriptors);

SKIP: {
    skip 'memory and time are the sanitizer\'s', 2 if under_sanitizer();
    cmp_ok($after->{kb} - $before->{kb}, '<', 1024,
           'the master does not grow');
    skip 'a short run says little of time', 1 if $seconds < 10;
    cmp_ok($p99, '<', 2 * $quiet, 'p99 is below twice that without reloads');
}

stops_cleanly($nginx);
done_testing();
