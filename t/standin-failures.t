# The stand-in for Test::Nginx::Socket must notice failures: a child runs the
# blocks below, each of which is wrong in the way that its name says, and
# every one must fail with the reason given in its `reason` section.  The
# first block is right: it shows that the child itself works.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Temp;
use Test::More;

require Test::Nginx::Socket;
plan skip_all => 'Test::Nginx is installed: the stand-in is not used'
    if !exists $INC{'Fixture/Nginx.pm'};

my $blocks = do { local $/; <DATA> };
my $file = File::Temp->new(SUFFIX => '.t');

print $file <<"EOT_FILE";
use Test::Nginx::Socket;
plan 'no_plan';
run_tests();
__DATA__

$blocks
EOT_FILE
close $file;

local $ENV{TEST_NGINX_LOAD_MODULES} = '';
local $ENV{TEST_NGINX_RANDOMIZE} = 1;
my $output = qx($^X -It/lib $file 2>/dev/null);
my @lines = split /\n/, $output;
my $count = 0;

isnt($?, 0, 'the child fails');

while ($blocks =~ /^=== (.*)\n((?:(?!===).*\n)*)/mg) {
    my ($name, $body) = ($1, $2);
    my @failed = grep { /^not ok \d+ - \S+ \Q$name\E - / } @lines;
    $count++;

    if ($body =~ /^--- reason: (.*)/m) {
        my $reason = $1;
        ok((grep { /\Q$name\E - .*$reason/ } @failed) > 0, $name)
            or diag(join "\n", @failed, '(no such reason)');

    } else {
        is(scalar @failed, 0, $name);
    }
}

cmp_ok($count, '>', 25, 'the blocks were found');
done_testing();

__DATA__
=== a right block
--- config
location /t { return 200 "a\n"; }
--- request
GET /t
--- response_body
a

=== default status
--- config
location /t { return 404; }
--- request
GET /t
--- reason: status code

=== error_code
--- config
location /t { return 200; }
--- request
GET /t
--- error_code: 404
--- reason: status code

=== error_code_like
--- config
location /t { return 200; }
--- request
GET /t
--- error_code_like: ^[45]
--- reason: status code like

=== the second of two
--- config
location /t { return 200; }
--- request eval
["GET /t", "GET /t"]
--- error_code eval
[200, 201]
--- reason: status code .*req 1

=== the second of two pipelined
--- config
location /t { return 200 "a"; }
--- pipelined_requests eval
["GET /t", "GET /t"]
--- error_code eval
[200, 200]
--- response_body eval
["a", "b"]
--- reason: body .*req 1

=== response_body
--- config
location /t { return 200 "a"; }
--- request
GET /t
--- response_body
a
--- reason: body

=== response_body_like
--- config
location /t { return 200 "a"; }
--- request
GET /t
--- response_body_like: b
--- reason: body like

=== response_body as a regex
--- config
location /t { return 200 "a"; }
--- request
GET /t
--- response_body eval
qr/b/
--- reason: body like

=== response_body_unlike
--- config
location /t { return 200 "a"; }
--- request
GET /t
--- response_body_unlike: a
--- reason: body unlike

=== response_headers, other value
--- config
location /t { add_header X-A b; return 200; }
--- request
GET /t
--- response_headers
X-A: a
--- reason: header X-A

=== response_headers, absent
--- config
location /t { return 200; }
--- request
GET /t
--- response_headers
X-A: a
--- reason: header X-A

=== response_headers, present
--- config
location /t { add_header X-A a; return 200; }
--- request
GET /t
--- response_headers
! X-A
--- reason: no header X-A

=== response_headers_like
--- config
location /t { add_header X-A abc; return 200; }
--- request
GET /t
--- response_headers_like
X-A: b
--- reason: header X-A like

=== raw_response_headers_like
--- config
location /t { return 200; }
--- request
GET /t
--- raw_response_headers_like: Location
--- reason: raw headers like

=== error_log, absent
--- config
location /t { return 200; }
--- request
GET /t
--- error_log
not there
--- reason: is in error.log

=== error_log, one of two patterns
--- config
location /t { deny all; }
--- request
GET /t
--- error_code: 403
--- error_log
forbidden
not there
--- reason: "not there" is in error.log

=== no_error_log
--- config
location /t { deny all; }
--- request
GET /t
--- error_code: 403
--- no_error_log
forbidden
--- reason: is not in error.log

=== grep_error_log
--- config
location /t { deny all; }
--- request
GET /t
--- error_code: 403
--- grep_error_log eval
qr/forbidden by \w+/
--- grep_error_log_out
forbidden by law
--- reason: grep_error_log_out

=== access_log
--- config
location /t { return 200; }
--- request
GET /t
--- access_log
GET /other
--- reason: is in access.log

=== no_access_log
--- config
location /t { return 200; }
--- request
GET /t
--- no_access_log
GET /t
--- reason: is not in access.log

=== timeout
--- config
location /slow { alias $TEST_NGINX_SERVER_ROOT/html; limit_rate 100; }
--- user_files eval
[["big.txt" => "x" x 10000]]
--- request
GET /slow/big.txt
--- timeout: 100ms
--- reason: client socket timed out

=== a response cut short
--- config
location /slow { alias $TEST_NGINX_SERVER_ROOT/html; limit_rate 1000; }
--- user_files eval
[["big.txt" => "x" x 10000]]
--- init
open my $f, '<', server_root() . '/logs/nginx.pid' or die;
my ($pid) = <$f> =~ /(\d+)/;
if (!fork) {
    select undef, undef, undef, 0.2;
    kill 'TERM', $pid;
    POSIX::_exit(0);
}
--- request
GET /slow/big.txt
--- reason: body truncated

=== no response at all
--- config
location /t { return 444; }
--- request
GET /t
--- reason: status code

=== must_die, but it runs
--- config
--- must_die
--- reason: must die

=== must_die with another exit code
--- config
nonsense;
--- must_die: 3
--- reason: exit code

=== must_die for another reason
--- config
nonsense;
--- must_die
--- error_log
unknown variable
--- reason: is in error.log

=== an alert
--- config
location /t { return 200; }
--- request
GET /t
--- init
Test::More::note('alert');
open my $f, '>>', server_root() . '/logs/error.log' or die;
print $f "2026/01/01 00:00:00 [alert] 1#1: something\n";
close $f;
--- reason: \[alert\]

=== an emergency
--- config
location /t { return 200; }
--- request
GET /t
--- init
open my $f, '>>', server_root() . '/logs/error.log' or die;
print $f "2026/01/01 00:00:00 [emerg] 1#1: something\n";
close $f;
--- reason: \[emerg\]

=== a crash
--- config
location /t { return 200; }
--- request
GET /t
--- init
open my $f, '>>', server_root() . '/logs/error.log' or die;
print $f "2026/01/01 00:00:00 [notice] 1#1: worker process 2 exited on signal 11\n";
close $f;
--- reason: exited on signal

=== a sanitizer's report
--- config
location /t { return 200; }
--- request
GET /t
--- init
open my $f, '>>', server_root() . '/logs/stderr.log' or die;
print $f "==1==ERROR: AddressSanitizer: heap-use-after-free\n";
close $f;
--- reason: AddressSanitizer

=== undefined behaviour
--- config
location /t { return 200; }
--- request
GET /t
--- init
open my $f, '>>', server_root() . '/logs/stderr.log' or die;
print $f "a.c:1:2: runtime error: signed integer overflow\n";
close $f;
--- reason: runtime error
