# infer_winograd_budget: each budget makes a model of its own, whose weights are
# as large as it allows.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;

use Fixture::Http;
use Fixture::Infer;

my %part = (server => <<'CONF');
        location /default { $TEST_NGINX_FASHION }
        location /equal { $TEST_NGINX_FASHION infer_winograd_budget 16m; }
        location /none {
            infer_winograd_budget 0;
            $TEST_NGINX_FASHION
            if ($arg_x) { add_header X-If yes; }
        }
CONF
my $nginx = started(%part);

# Kilobytes of the models that a worker has, in rising order.
sub models {
    my ($worker) = $nginx->workers;

    return sort { $a <=> $b }
           map { $_->{Size} } values %{ shared_mappings($worker) };
}

my @both = models();

is(scalar @both, 2, 'three locations, two budgets: two models');
cmp_ok($both[1] - $both[0], '>=', 150, "the smaller has plain weights only");

for my $uri (qw(/default /equal /none /none?x=1)) {
    my $res = Fixture::Http::ask($nginx->{port},
                                 post($uri, image('9-boot.png')));
    like($res->{body}, prediction(9), "$uri answers");
}

# A reload with the budget of an outer block.
my @old = $nginx->workers;

$part{server} =~ s/infer_winograd_budget 16m;//;
configured($nginx, %part, http => 'infer_winograd_budget 0;');
$nginx->signal('HUP');
ok(Fixture::Nginx::wait_for(10, sub {
    my @now = $nginx->workers;
    return @now == @old && !grep { $_ == $old[0] } @now;
}), 'a reload with another budget');

is("@{[models()]}", $both[0], 'the locations of http have one model');

stops_cleanly($nginx);
done_testing();
