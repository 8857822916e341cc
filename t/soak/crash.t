# Workers killed under load: the requests they had are lost, no others, and
# what was counted stays counted.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Load;

my $seconds = soak_seconds();
my $workers = 2;
my $nginx = started(
    workers => $workers,
    main    => 'thread_pool one threads=1;',
    http    => 'infer_thread_pool one; infer_queue 64;',
    files   => { 'html/slow.onnx' => slow_model(0.02) },
    server  => <<'CONF');
        location /p {
            infer_model $ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
        }
        location = /metrics { infer_metrics; }
CONF
my $port = $nginx->{port};
my $clients = 6;

# Requests that were answered with a class, and that wait or run.
sub counted {
    my $text = Fixture::Http::ask($port, Fixture::Http::request(
        'GET', '/metrics'))->{body} // '';

    my ($ok) = $text =~ /reason="ok"\} (\d+)/;
    my ($waiting) = $text =~ /^infer_requests_waiting\S+ (\d+)/m;
    my ($running) = $text =~ /^infer_requests_running\S+ (\d+)/m;

    return ($ok, $waiting, $running);
}

my $load = Fixture::Load->start(port => $port, clients => $clients,
                                requests => [post('/p', slow_image())]);
my ($kills, $back, $lost_most) = (0, 0, 0);
my $until = time + $seconds;

while (time < $until) {
    my @now = $nginx->workers;
    my $victim = $now[rand @now];

    kill 'KILL', $victim;
    $kills++;
    $back++ if Fixture::Nginx::wait_for(10, sub {
        my @pids = $nginx->workers;
        return @pids == $workers && !grep { $_ == $victim } @pids;
    });
    sleep 0.3 + rand 0.2;
}

my @all = $load->finish;
my @lost = grep { $_->[0] ne '200' } @all;
my @good = seconds_of(200, @all);

# An answer is counted before it is written: a worker that dies between has
# counted one more.
my ($ok, $waiting, $running) = counted();

diag sprintf '%d workers killed in %d s: %s; counted %d', $kills, $seconds,
             outcomes(@all), $ok;

is($back, $kills, 'each worker that was killed is replaced');
unlike(outcomes(@all), qr/timeout|refused|\b[45]\d\d:/,
       'lost requests end at once, and nobody is refused');
cmp_ok(scalar @lost, '<=', $kills * $clients,
       'no more are lost than were under way');
cmp_ok(scalar @lost, '<', @all / 2, 'most are not');
cmp_ok($ok, '>=', @good, 'all that were answered are counted');
cmp_ok($ok, '<=', @good + @lost, 'and none twice');
is("$waiting $running", '0 0', 'nothing waits or runs');

my $dead = () = $nginx->read_log('error.log') =~ /exited on signal 9/g;
is($dead, $kills, 'nothing died but what was killed');

my $res = Fixture::Http::ask($port, post('/p', slow_image()));
is($res->{code}, 200, 'the server serves');

stops_cleanly($nginx, qr/exited on signal 9/);
done_testing();
