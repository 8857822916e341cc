# conf/alerts.yml and conf/grafana.json: promtool accepts the rules, they fire
# when they should and only then, neither file asks for a metric or label that
# a server does not have, and conf/RUNBOOK.md knows every alert.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use JSON::PP qw(decode_json);
use Test::More;

use Fixture::Http;
use Fixture::Infer;

my $conf = "$ENV{TEST_NGINX_MODELS}/..";
my $infer = abs_path($ENV{INFER} // 'build/infer');
my $dir = tempdir(CLEANUP => 1);
my $set = '../shared/models/fashion/png';

# A model in INT8 with a baseline: one that has all there is to watch.
for my $command ("convert $conf/models/fashion.onnx -o $dir/int8.infer "
                 . "--quantize static --calibrate $set --preprocess "
                 . "'resize=28 crop=28 mean=0.2860 std=0.3530'",
                 "baseline $dir/int8.infer $set -o $dir/model.infer")
{
    system("$infer $command > $dir/log 2>&1") == 0 or die slurp("$dir/log");
}

my $nginx = started(
    files  => { 'html/model.infer' => slurp("$dir/model.infer") },
    server => <<'CONF');
        location /p {
            infer_model $ROOT/html/model.infer;
            infer_feedback 10;
            infer_capture $ROOT/capture sample=100%;
            infer_shadow $TEST_NGINX_MODELS/fashion.onnx sample=100%;
        }
        location = /metrics { infer_metrics; }
CONF

for my $class (0, 9) {
    my $id = Fixture::Http::ask($nginx->{port},
                                post('/p', image('9-boot.png')))
             ->{headers}{'x-infer-id'};

    Fixture::Http::ask($nginx->{port}, post('/p/feedback',
        "{\"id\": \"$id\", \"label\": $class}"));
}

my @all = map { { port => $nginx->{port}, packets => [post('/p', slurp($_))] } }
          glob "$set/*.png";
Fixture::Http::exchange_all(\@all, limit => 8);

my $text = Fixture::Http::ask($nginx->{port},
                              Fixture::Http::request('GET', '/metrics'))
           ->{body};

# Each metric with its labels and their values.
my %metric;

while ($text =~ /^(\w+)\{(.*)\} \S+$/mg) {
    my ($name, $labels) = ($1, $2);

    while ($labels =~ /(\w+)="([^"]*)"/g) {
        $metric{$name}{$1}{$2} = 1;
    }
}

cmp_ok(scalar keys %metric, '>=', 10, 'a server has metrics');

# What is wrong with the metrics and labels of a query.
sub wrong {
    my ($query) = @_;
    my @wrong;

    while ($query =~ /\b(infer_\w+)\b(?:\{([^}]*)\})?/g) {
        my ($name, $matchers) = ($1, $2 // '');

        if (!$metric{$name}) {
            push @wrong, "no metric $name";
            next;
        }

        while ($matchers =~ /(\w+)(=~|!=|=)"([^"]*)"/g) {
            my ($label, $op, $value) = ($1, $2, $3);
            my $is = $op eq '=~' ? qr/^(?:$value)$/ : qr/^\Q$value\E$/;

            next if $label eq 'instance' || $value eq '$model';
            push @wrong, "$name has no $label$op$value"
                if !grep { /$is/ } keys %{ $metric{$name}{$label} // {} };
        }
    }

    return @wrong;
}

is_deeply([wrong('sum(infer_nothing{a="b"})')], ['no metric infer_nothing'],
          'a metric that is not there is found');
is_deeply([wrong('infer_requests_total{reason="x"}')],
          ['infer_requests_total has no reason=x'], 'and so is a label');


# ---- alerts -------------------------------------------------------------

my $alerts = slurp("$conf/alerts.yml");

# Comments name nothing; the rules' own record is no metric of ours.
is_deeply([wrong($alerts =~ s/^\s*#.*//mgr)], [],
          'alerts.yml asks for what there is');

my %alert = map { $_ => 1 } $alerts =~ /- alert: (\w+)/g;
my $tests = slurp("$conf/alerts_test.yml");
my $runbook = slurp("$conf/RUNBOOK.md");

is_deeply([grep { !$alert{$_} } $runbook =~ /^### (\w+)$/mg], [],
          'the runbook has no other alerts');

for my $name (sort keys %alert) {
    like($tests, qr/alertname: $name\n\s+exp_alerts:/,
         "$name: a test in which it fires");
    like($runbook, qr/^### $name$/m, "$name: in the runbook");
    like($tests, qr/alertname: $name \}/, "$name: one in which it does not")
        if $name !~ /Down|NoModel/;
}


# ---- dashboard ----------------------------------------------------------

my $board = eval { decode_json(slurp("$conf/grafana.json")) };
ok($board, 'grafana.json is JSON') or diag $@;

my @queries = map { $_->{expr} } map { @{ $_->{targets} } }
              @{ $board->{panels} };
my @variables = map { $_->{query}{query} } grep { $_->{type} eq 'query' }
                @{ $board->{templating}{list} };

cmp_ok(scalar @queries, '>=', 10, 'queries');
is_deeply([wrong($_)], [], $_) for @queries, @variables;

my %id = map { $_->{id} => 1 } @{ $board->{panels} };
is(scalar keys %id, scalar @{ $board->{panels} }, 'panels have ids');

for my $name (grep { !/_sum$|_count$/ } sort keys %metric) {
    ok((grep { /\b$name\b/ } @queries), "$name is shown");
}


# ---- promtool -----------------------------------------------------------

SKIP: {
    skip 'PROMTOOL is not set', 3 if !$ENV{PROMTOOL};

    # The dashboard's queries as rules, Grafana's variables filled in.
    my $rules = "groups:\n  - name: board\n    rules:\n";
    my $n = 0;

    for my $query (@queries) {
        my $filled = $query =~ s/\$__rate_interval/1m/gr;
        $rules .= "      - record: board:q" . $n++ . "\n        expr: '"
                  . $filled =~ s/'/''/gr . "'\n";
    }

    my $file = $nginx->write_file('board.yml', $rules);

    for my $call ("check rules $conf/alerts.yml", "check rules $file",
                  "test rules $conf/alerts_test.yml") {
        my $said = qx($ENV{PROMTOOL} $call 2>&1);
        is($?, 0, "promtool " . $call =~ s{\S*/}{}r) or diag $said;
    }
}

stops_cleanly($nginx);
done_testing();
