#!/bin/sh
# make run: Debian's nginx on the default model, under $BUILD/run and nowhere
# else, in the foreground.

set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
run=$(cd "$BUILD" && pwd)/run
port=${PORT:-8080}
nginx=$(command -v nginx || echo /usr/sbin/nginx)
image=$root/t/data/fashion/9-boot.png

case $port in
    ''|*[!0-9]*) echo "PORT=$port is not a port number" >&2; exit 2 ;;
esac

mkdir -p "$run/temp" "$run/modules"
cp "$BUILD/nginx/ngx_http_infer_module.so" "$run/modules"
rm -rf "$run/models"
cp -r "$root/conf/models" "$run/models"
sed -e "s/listen 8080;/listen $port;/" "$root/conf/nginx.conf" \
    > "$run/nginx.conf"

echo
echo "Try in another terminal:"
echo
echo "    curl -F file=@$image http://localhost:$port/predict"
echo
echo "Ctrl-C stops it."
echo

exec "$nginx" -p "$run/" -e stderr -c "$run/nginx.conf"
